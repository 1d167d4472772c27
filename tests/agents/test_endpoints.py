"""The agents' HTTP endpoints: who may, what is wrong, and what a beat answers."""

from __future__ import annotations

import struct

import msgspec
import pytest

from agent_client.protocol import codec, frames
from agent_client.protocol.messages import Accepted, Desired, LogChunk
from agents import admission, endpoints, inbox
from agents.admission import Admission
from agents.endpoints import LogPut
from dialer_platform.errors import Conflict
from tests.agents import wire
from tests.agents.asgi_client import call

pytestmark = pytest.mark.django_db(transaction=True)

BEAT = "/api/v1/nodes/heartbeat"
FRAMES = "/api/v1/nodes/frames"
POOL = {"max_workers": 10, "active_threads": 1, "completed_tasks": 5, "pending_tasks": 0}


def body_of(message) -> object:
    """Return a message as the JSON a host sends."""
    return msgspec.to_builtins(message)


def packed(*chunks: LogChunk) -> bytes:
    """Return a body of log chunks."""
    pieces = [codec.encode_chunk(chunk) for chunk in chunks]
    return b"".join(struct.pack("!I", len(piece)) + piece for piece in pieces)


def chunk(offset: int = 0, text: bytes = b"hello") -> LogChunk:
    """Return a log chunk of task 1."""
    data = frames.encode(frames.STDOUT, 1, text)
    return LogChunk(message_id=wire.name(), task_id=1, offer=1, offset=offset, frames=data)


async def test_beat_of_the_older_agents_alone_is_valid(enrolled, registry):
    agent, token = enrolled
    body = {"agent_id": agent.id, "status": "running", "thread_pool": POOL}
    answer = await call("POST", BEAT, body, token=token)
    assert answer.status == 200
    assert {"acks", "desired", "tasks", "cancel_tasks"} <= set(answer.json())
    assert answer.json()["probes_revision"] == 0
    assert answer.json()["heartbeat_interval"] == 2.0


async def test_go_comes_in_the_answer_that_brought_accepted(enrolled, registry):
    agent, token = enrolled
    registry.register(Accepted, lambda batch: [one.reply.go(1, 3) for one in batch])
    beat = wire.beat(agent.id, messages=(wire.accepted(1, 3),))
    answer = (await call("POST", BEAT, body_of(beat), token=token)).json()
    assert answer["go"] == [{"task_id": 1, "offer": 3}]
    assert answer["acks"] == [beat.messages[0].message_id, beat.message_id]


async def test_polling_host_that_finds_the_line_too_long_is_told_to_come_again(
    enrolled, registry, monkeypatch
):
    agent, token = enrolled
    crowd = Admission(per_second=1, longest_wait_seconds=0)
    monkeypatch.setattr(admission, "admission", crowd)
    first = wire.beat(agent.id, messages=(wire.hello(agent.id),))
    statuses = [(await call("POST", BEAT, body_of(first), token=token)).status for _ in range(2)]
    refused = await call("POST", BEAT, body_of(first), token=token)
    assert (statuses, refused.json()["code"]) == ([200, 503], "slow_down")
    assert refused.headers["retry-after"]
    plain = await call("POST", BEAT, body_of(wire.beat(agent.id)), token=token)
    assert plain.status == 200


async def test_kind_of_a_newer_release_in_a_beat_is_refused_alone(enrolled, registry):
    agent, token = enrolled
    registry.register(Accepted, lambda batch: [one.reply.go(1, 3) for one in batch])
    known = {"type": "accepted", "message_id": "k1", "task_id": 1, "offer": 3}
    body = {"agent_id": agent.id, "messages": [{"type": "news", "message_id": "n1"}, known]}
    answer = (await call("POST", BEAT, body, token=token)).json()
    assert [one["message_id"] for one in answer["errors"]] == ["n1"]
    assert answer["acks"][0] == "k1"


async def test_reconciliation_follows_the_messages_of_the_beat(enrolled, registry):
    agent, token = enrolled
    wanted = Desired(task_id=1, offer=1, want="forget")
    registry.register_beat(lambda beats: [beat.reply.want(wanted) for beat in beats])
    answer = (await call("POST", BEAT, body_of(wire.beat(agent.id)), token=token)).json()
    assert answer["desired"] == [{"task_id": 1, "offer": 1, "want": "forget"}]


@pytest.mark.parametrize("header", ["", "Bearer ", "Basic abc", "Bearer dpa_a_b_c"])
async def test_beat_without_a_valid_credential_is_401(enrolled, header):
    headers = {"authorization": header} if header else {}
    answer = await call("POST", BEAT, {"agent_id": enrolled[0].id}, headers=headers)
    assert answer.status == 401
    assert set(answer.json()) == {"code", "detail", "fields"}
    assert "bearer" in answer.headers["www-authenticate"].lower()


async def test_beat_for_another_agent_is_403(enrolled):
    answer = await call("POST", BEAT, {"agent_id": "a-0000000000"}, token=enrolled[1])
    assert (answer.status, answer.json()["code"]) == (403, "agent_mismatch")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "agent_id"),
        ({"agent_id": 7}, "agent_id"),
        ({"agent_id": "a", "thread_pool": {"max_workers": "x"}}, "thread_pool"),
        ({"agent_id": "a", "holds": [{"task_id": 1}]}, "holds"),
    ],
)
async def test_wrong_field_of_a_beat_is_named(enrolled, body, field):
    answer = await call("POST", BEAT, body, token=enrolled[1])
    assert answer.status == 400
    assert list(answer.json()["fields"]) == [field]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
async def test_body_that_is_no_beat_is_400(enrolled, body):
    answer = await call("POST", BEAT, body, token=enrolled[1])
    assert answer.status == 400
    assert answer.json()["code"] in {"malformed", "invalid"}


async def test_beat_of_another_type_is_415(enrolled):
    headers = {"content-type": "text/plain"}
    answer = await call("POST", BEAT, b"{}", token=enrolled[1], headers=headers)
    assert answer.status == 415


async def test_body_over_the_limit_is_413(enrolled):
    answer = await call("POST", BEAT, b" " * (1024 * 1024 + 1), token=enrolled[1])
    assert answer.status == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", BEAT),
        ("PUT", FRAMES),
        ("POST", "/api/v1/tasks/agent"),
        ("GET", "/api/agents/register/"),
    ],
)
async def test_other_method_is_405(enrolled, method, path):
    assert (await call(method, path, token=enrolled[1])).status == 405


async def test_paths_of_django_are_not_taken():
    assert endpoints.route({"path": "/api/v1/tasks/7/log", "method": "GET"}) is None
    assert endpoints.route({"path": "/api/v1/agents/", "method": "GET"}) is None


async def test_full_inbox_answers_503_and_when_to_come_back(enrolled, registry, monkeypatch):
    monkeypatch.setattr(inbox.writer, "put", lambda submission: False)
    answer = await call("POST", BEAT, {"agent_id": enrolled[0].id}, token=enrolled[1])
    assert (answer.status, answer.json()["code"]) == (503, "slow_down")
    assert answer.headers["retry-after"] == "1"


async def test_second_instance_of_a_credential_is_409(enrolled, registry):
    agent, token = enrolled
    first = {"agent_id": agent.id, "instance_id": "i-1"}
    assert (await call("POST", BEAT, first, token=token)).status == 200
    answer = await call("POST", BEAT, {**first, "instance_id": "i-2"}, token=token)
    assert (answer.status, answer.json()["code"]) == (409, "instance_conflict")


async def test_defect_is_500_without_internals(enrolled, registry, monkeypatch):
    def broken(*args):
        raise RuntimeError("secret path")

    monkeypatch.setattr(inbox, "submit", broken)
    answer = await call("POST", BEAT, {"agent_id": enrolled[0].id}, token=enrolled[1])
    assert answer.status == 500
    assert b"secret" not in answer.body


# --- log chunks ---------------------------------------------------------------


async def test_chunks_are_stored_in_order_and_acked(enrolled, registry):
    stored = []
    registry.register_log_sink(lambda who, piece: stored.append(piece.offset) or piece.offset + 5)
    pieces = [chunk(0), chunk(5), chunk(10)]
    answer = (await call("POST", FRAMES, packed(*pieces), token=enrolled[1])).json()
    assert stored == [0, 5, 10]
    assert answer["acks"] == [piece.message_id for piece in pieces]
    assert answer["log_next"][-1] == {"task_id": 1, "offer": 1, "next": 15}


async def test_gap_in_a_log_answers_the_expected_offset(enrolled, registry):
    def sink(who, piece):
        raise inbox.LogGap(3)

    registry.register_log_sink(sink)
    answer = (await call("POST", FRAMES, packed(chunk(9)), token=enrolled[1])).json()
    assert answer["acks"] == []
    assert answer["log_next"] == [{"task_id": 1, "offer": 1, "next": 3}]


async def test_refused_chunk_answers_the_reason(enrolled, registry):
    def sink(who, piece):
        raise Conflict("The task is not yours.", code="stale_offer")

    registry.register_log_sink(sink)
    answer = (await call("POST", FRAMES, packed(chunk()), token=enrolled[1])).json()
    assert [one["code"] for one in answer["errors"]] == ["stale_offer"]


async def test_failing_disk_leaves_the_chunk_unacked(enrolled, registry):
    def sink(who, piece):
        raise OSError(28, "No space left")

    registry.register_log_sink(sink)
    answer = (await call("POST", FRAMES, packed(chunk()), token=enrolled[1])).json()
    assert answer["acks"] == []
    assert [one["code"] for one in answer["errors"]] == ["unavailable"]


@pytest.mark.parametrize("cut", [1, 3, 10])
async def test_cut_chunk_is_400(enrolled, registry, cut):
    answer = await call("POST", FRAMES, packed(chunk())[:-cut], token=enrolled[1])
    assert (answer.status, answer.json()["code"]) == (400, "malformed")


# --- probes and raw logs ------------------------------------------------------


async def test_probes_of_an_agent_are_empty_and_cached_by_etag(enrolled):
    agent, token = enrolled
    path = f"/api/v1/tasks/agent?agent_id={agent.id}"
    answer = await call("GET", path, token=token)
    assert (answer.json()["tasks"], answer.json()["runs"]) == ([], [])
    again = await call("GET", path, token=token, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_probes_of_another_agent_are_403(enrolled):
    answer = await call("GET", "/api/v1/tasks/agent?agent_id=a-1", token=enrolled[1])
    assert answer.status == 403


async def test_raw_log_reaches_its_handler(enrolled, monkeypatch):
    seen = []

    async def handler(principal, put: LogPut) -> int:
        seen.append((principal.agent_id, put))
        return put.offset + len(put.data)

    monkeypatch.setattr(endpoints, "_log_put_handler", handler)
    path = "/api/v1/tasks/7/log?stream=stderr&offset=10"
    answer = await call("PUT", path, b"abc", token=enrolled[1])
    assert answer.json() == {"next": 13}
    assert seen == [(enrolled[0].id, LogPut(7, "stderr", 10, b"abc"))]


@pytest.mark.parametrize(
    ("query", "field"), [("stream=both", "stream"), ("offset=-1", "offset"), ("offset=x", "offset")]
)
async def test_wrong_query_of_a_raw_log_is_named(enrolled, monkeypatch, query, field):
    monkeypatch.setattr(endpoints, "_log_put_handler", lambda *args: None)
    answer = await call("PUT", f"/api/v1/tasks/7/log?{query}", b"", token=enrolled[1])
    assert answer.status == 400
    assert field in answer.json()["fields"]
