"""The command line against a real server and agent, as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.e2e.stack import ROOT, Stack, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("command-line")]

Ran = subprocess.CompletedProcess[bytes]
COMMAND = [sys.executable, "-m", "agent_client"]


@pytest.fixture(scope="module")
def environment(stack: Stack) -> dict[str, str]:
    """Return the environment of a person with a token of their own."""
    token = stack.manage("token", "admin").splitlines()[-1]
    return {**os.environ, "DIALER_URL": stack.url, "DIALER_TOKEN": token}


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[..., Ran]:
    """Return a function that runs one command to its end."""

    def command(*arguments: str, stdin: bytes = b"", **more: str) -> Ran:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env={**environment, **more},
            input=stdin,
            capture_output=True,
            timeout=60,
        )

    return command


def _submit(run: Callable[..., Ran], script: bytes) -> str:
    """Submit a script that books no core and return the id that was printed."""
    return run("submit", "--cpu", "0", stdin=script).stdout.decode().strip()


def test_submit_and_wait_ends_like_the_task(run: Callable[..., Ran]) -> None:
    script = b'echo "one $A"; exit 7\n'
    done = run("submit", "--wait", "--cpu", "0", "--env", "A=b c", stdin=script)
    number, _, log = done.stdout.partition(b"\n")
    assert number.isdigit()
    assert (log, done.returncode) == (b"one b c\n", 7)


def test_logs_follows_byte_for_byte_until_the_end(run: Callable[..., Ran]) -> None:
    script = b"for i in 1 2 3; do printf 'line %s\\377\\n' $i; sleep 0.2; done\n"
    done = run("logs", _submit(run, script), "-f")
    assert done.stdout == b"line 1\xff\nline 2\xff\nline 3\xff\n"


def test_streams_can_be_read_apart(run: Callable[..., Ran], stack: Stack) -> None:
    task_id = _submit(run, b"echo out; echo err >&2\n")
    stack.wait_final(int(task_id))
    assert run("logs", task_id, "--stream", "stderr").stdout == b"err\n"
    assert run("logs", task_id, "--tail", "4").stdout in (b"err\n", b"out\n")


def test_cancel_show_why_and_rerun(run: Callable[..., Ran], stack: Stack) -> None:
    task_id = _submit(run, b"sleep 60\n")
    stack.wait_status(int(task_id), "running")
    assert run("cancel", task_id).returncode == 0
    wait_for(lambda: json.loads(run("show", task_id, "--json").stdout)["status"] == "canceled")
    assert run("why", task_id).stdout.startswith(b"canceled: ")
    again = run("rerun", task_id).stdout.decode().strip()
    assert json.loads(run("show", again, "--json").stdout)["rerun_of"] == int(task_id)
    run("cancel", again)


def test_queue_lists_what_waits(run: Callable[..., Ran]) -> None:
    task_id = run("submit", "--cpu", "9999", "--name", "huge", stdin=b"true\n").stdout.decode()
    row = next(line for line in run("queue").stdout.decode().splitlines() if "huge" in line)
    assert row.startswith(task_id.strip())
    assert "waiting" in row
    run("cancel", task_id.strip())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("submit", "--priority", "9"), 5, b"priority"),
        (("submit", "--after", "999999"), 5, b"depends_on"),
        (("submit", "--agent", "a-nobody"), 5, b"agent"),
        (("show", "999999"), 5, b"agent_client: "),
    ],
)
def test_refusal_names_the_field(
    run: Callable[..., Ran], arguments: tuple[str, ...], code: int, words: bytes
) -> None:
    done = run(*arguments, stdin=b"true\n")
    assert (done.returncode, done.stdout) == (code, b"")
    assert words in done.stderr


def test_wrong_token_ends_with_4(run: Callable[..., Ran]) -> None:
    assert run("queue", DIALER_TOKEN="dpu_wrong").returncode == 4
