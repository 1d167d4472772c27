"""`logs`: byte for byte, from any offset, across lost connections."""

from __future__ import annotations

import io
import json
import os

import pytest

from agent_client.commands import logs
from agent_client.commands.api import ApiError, Client
from agent_client.commands.client_settings import ClientSettings
from agent_client.commands.logs import follow
from tests.agent_client.commands.conftest import TOKEN, Answer


class Log:
    """A task's log as the server serves it, with failures to order."""

    def __init__(self, content: bytes = b"", complete: bool = True, read_bytes: int = 1000) -> None:
        self.content, self.complete, self.read_bytes = content, complete, read_bytes
        self.failures: list[Answer] = []

    def __call__(self, request) -> Answer:
        if self.failures:
            return self.failures.pop(0)
        offset = int(request.query.get("offset", 0))
        if "tail" in request.query:
            offset = max(0, len(self.content) - int(request.query["tail"]))
        headers = {
            "X-Log-Offset": str(offset),
            "X-Log-Size": str(len(self.content)),
            "X-Log-Complete": str(self.complete).lower(),
        }
        return Answer(self.content[offset : offset + self.read_bytes], headers=headers)


@pytest.fixture
def log(server):
    """Return the log of task 7, which has completed."""
    served = Log(b"line 1\nline 2\n")
    server.routes["GET tasks/7/log/"] = served
    server.answer("GET tasks/7/", {"id": 7, "status": "completed", "exit_code": 0})
    return served


@pytest.fixture
def client(server):
    """Return a client of the fake server."""
    with Client(ClientSettings(server.url, TOKEN)) as client:
        yield client


def test_logs_prints_every_byte_in_many_reads(log, run):
    log.content, log.read_bytes = bytes(range(256)) * 10, 1000
    outcome = run("logs", "7")
    assert outcome.out.encode("utf-8", "surrogateescape") == log.content


def test_logs_of_a_running_task_ends_at_what_is_stored(log, run):
    log.complete = False
    assert run("logs", "7").out == "line 1\nline 2\n"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (("--offset", "7"), "line 2\n"),
        (("--offset", "99"), ""),
        (("--tail", "3"), " 2\n"),
        (("--tail", "0"), ""),
        (("--tail", "3", "-f"), " 2\n"),
    ],
)
def test_logs_starts_where_asked(log, run, argv, text):
    assert run("logs", "7", *argv).out == text


def test_logs_asks_for_one_stream(log, run, server):
    run("logs", "7", "--stream", "stderr")
    assert {request.query["stream"] for request in server.requests} == {"stderr"}


def test_json_tells_offsets_and_completeness(log, run):
    log.content = b"caf\xe9"
    assert json.loads(run("logs", "7", "--json").out) == {
        "id": 7,
        "offset": 0,
        "next": 4,
        "size": 4,
        "complete": True,
        "text": "caf\ufffd",
    }


def test_unknown_task_ends_with_5(run, server):
    outcome = run("logs", "8", "-f")
    assert (outcome.code, outcome.err) == (5, "agent_client: Not found.\n")


class Sleeper:
    """A clock for pauses: runs what is ordered for each, and remembers its length."""

    def __init__(self, *events) -> None:
        self.events = list(events)
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.events:
            self.events.pop(0)()


def test_follow_waits_for_more_and_returns_the_final_task(log, client):
    log.complete = False

    def grow() -> None:
        log.content += b"line 3\n"
        log.complete = True

    target, sleeper = io.BytesIO(), Sleeper(lambda: None, grow)
    assert follow(client, 7, target, sleep=sleeper)["status"] == "completed"
    assert target.getvalue() == b"line 1\nline 2\nline 3\n"


def test_follow_pauses_longer_while_nothing_comes(log, client):
    log.complete = False
    sleeper = Sleeper(*[lambda: None] * 9, lambda: setattr(log, "complete", True))
    follow(client, 7, io.BytesIO(), sleep=sleeper)
    assert sleeper.pauses == sorted(sleeper.pauses)
    assert sleeper.pauses[0] == 0.1
    assert sleeper.pauses[-1] == 1.0


def test_follow_resumes_at_the_next_byte_after_a_lost_connection(log, client, capsys):
    log.read_bytes = 5
    log.failures = [Answer(cut=True)] * 6 + [Answer({"detail": "Restarting."}, 503)]
    target, sleeper = io.BytesIO(), Sleeper()
    follow(client, 7, target, sleep=sleeper)
    assert target.getvalue() == b"line 1\nline 2\n"
    assert len(sleeper.pauses) == 3
    assert capsys.readouterr().err.count("trying again") == 1


def test_follow_ends_when_the_credential_is_refused(log, client):
    log.failures = [Answer({"detail": "Revoked."}, 401)]
    with pytest.raises(ApiError, match="Revoked"):
        follow(client, 7, io.BytesIO(), sleep=Sleeper())


def test_follow_gives_up_on_the_rest_of_a_final_log(log, client):
    log.complete = False
    sleeper = Sleeper()
    assert follow(client, 7, io.BytesIO(), sleep=sleeper)["id"] == 7
    assert sum(sleeper.pauses) >= logs._GIVE_UP_SECONDS


def test_reader_that_went_away_ends_quietly(log, monkeypatch, capfd):
    from agent_client.__main__ import main

    class Closed:
        """A standard output whose other end is gone."""

        def __init__(self) -> None:
            self.descriptor = os.dup(1)
            self.buffer = self

        def write(self, data: bytes) -> None:
            raise BrokenPipeError

        def fileno(self) -> int:
            return self.descriptor

    closed = Closed()
    monkeypatch.setattr("sys.stdout", closed)
    assert main(["logs", "7"]) == 0
    os.close(closed.descriptor)
    assert capfd.readouterr().err == ""
