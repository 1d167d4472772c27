"""An enrolment token becomes a credential once; the answer to a repeat is the same host."""

from __future__ import annotations

import random
from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent_client import registration
from agent_client.config import AgentConfig, load_config
from agent_client.errors import ExitCode, Terminal
from agent_client.registration import Reply, post_json, read_answer, register, stored_identity
from agent_client.state import Identity, StateDirectory
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import ConnectionFailed
from tests.agent_client.fake_server import AGENT_ID, ENROLL_TOKEN, TOKEN, FakeServer, fake_server


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as found:
        yield found


@pytest.fixture
def state(tmp_path) -> StateDirectory:
    return StateDirectory(tmp_path)


def config(state: StateDirectory, **settings: object) -> AgentConfig:
    return load_config(
        {"enroll_token": ENROLL_TOKEN, "identification.agent_name": "host", **settings},
        {"HOME": str(state.path)},
        Path(state.path),
    )


async def enrol(state: StateDirectory, *urls: str, **settings: object) -> Identity:
    backoff = Backoff(
        urls, initial_seconds=0.01, max_seconds=0.01, tries_per_address=1, rng=random.Random(1)
    )
    return await register(config(state, **settings), state=state, backoff=backoff, system={"os": 1})


async def test_identity_is_stored_when_the_server_agrees(server, state):
    identity = await enrol(state, server.url)
    assert (identity.agent_id, identity.agent_token, identity.server) == (
        AGENT_ID,
        TOKEN,
        server.url,
    )
    assert StateDirectory(state.path).load_identity() == identity


async def test_host_describes_itself_when_it_registers(server, state):
    await enrol(state, server.url)
    (body,) = server.registrations
    assert body["name"] == "host"
    assert body["system"] == {"os": 1}
    assert body["instance_id"] == state.instance_id()


async def test_instance_is_the_same_when_registering_is_repeated(server, state):
    await enrol(state, server.url)
    await enrol(state, server.url)
    assert len({body["instance_id"] for body in server.registrations}) == 1


async def test_agent_ends_clearly_when_the_token_is_refused(server, state):
    with pytest.raises(Terminal) as caught:
        await enrol(state, server.url, enroll_token="dpe_used")
    assert (caught.value.code, caught.value.exit_code) == ("enrollment_refused", ExitCode.REFUSED)
    assert caught.value.detail == "The token is used."
    assert state.load_identity() is None


async def test_agent_ends_clearly_when_it_has_no_token(state):
    with pytest.raises(Terminal) as caught:
        await enrol(state, "http://127.0.0.1:1", enroll_token="")
    assert caught.value.code == "not_enrolled"


async def test_registering_is_tried_again_when_the_server_is_away(server, state):
    identity = await enrol(state, "http://127.0.0.1:1", server.url)
    assert identity.server == server.url


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_answer_is_final_when_the_server_refuses(status):
    with pytest.raises(Terminal, match="HTTP"):
        read_answer(Reply(status, b"<html>"))


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_answer_is_worth_another_try_when_the_server_fails(status):
    with pytest.raises(ConnectionFailed):
        read_answer(Reply(status, b'{"detail": "later"}'))


def test_answer_is_worth_another_try_when_it_is_not_ours():
    with pytest.raises(ConnectionFailed):
        read_answer(Reply(200, b"<html>captive portal</html>"))


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_told_from_a_broken_one(status):
    with pytest.raises(ConnectionFailed) as caught:
        read_answer(Reply(status, b"<html>", retry_after_seconds=7.0))
    assert (caught.value.code, caught.value.retry_after_seconds) == ("server_busy", 7.0)
    assert caught.value.detail == "The server asks to come back later."


async def test_registering_waits_as_long_as_a_busy_server_asks(server, state, monkeypatch, caplog):
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        server.http_status = 200

    server.http_status, server.retry_after = 429, "7"
    monkeypatch.setattr(registration, "asyncio", SimpleNamespace(sleep=pause, to_thread=to_thread))
    identity = await enrol(state, server.url)
    assert (pauses, identity.agent_id) == ([7.0], AGENT_ID)
    assert "server_busy" in caplog.text
    assert "tried again" in caplog.text


def test_posting_fails_when_nobody_listens():
    with pytest.raises(ConnectionFailed):
        post_json("http://127.0.0.1:1/", b"{}")


def test_stored_token_is_replaced_when_the_configuration_has_one(state):
    state.save_identity(Identity(instance_id="i", agent_id="a", agent_token="dpa_old"))
    renewed = stored_identity(config(state, **{"identification.agent_token": "dpa_new"}), state)
    kept = stored_identity(config(state), state)
    assert renewed is not None
    assert kept is not None
    assert (renewed.agent_token, kept.agent_token) == ("dpa_new", "dpa_old")


def test_nothing_is_stored_when_the_host_is_new(state):
    assert stored_identity(config(state), state) is None
