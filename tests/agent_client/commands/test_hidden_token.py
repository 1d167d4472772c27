"""The enrolment token leaves the arguments of the process that goes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from agent_client.commands.hidden_token import hide, without_token
from agent_client.config import load_config
from tests.agent_client.fake_server import ENROLL_TOKEN, fake_server

TOKEN = "dpe_secret_0123456789"


@pytest.mark.parametrize(
    "words",
    [["--enroll", TOKEN], [f"--enroll={TOKEN}"], ["--enr", TOKEN], [f"--enro={TOKEN}"]],
)
def test_option_goes_however_it_is_written(words):
    arguments = ["python", "-m", "agent_client", "main", *words, "--name", "enroll"]
    expected = ["python", "-m", "agent_client", "main", "--name", "enroll"]
    assert without_token(arguments, TOKEN) == expected


def test_other_words_stay_though_they_look_alike():
    arguments = ["python", "main", "--name", TOKEN, "--", "-e", TOKEN]
    assert without_token(arguments, TOKEN) == arguments


class Executed:
    """Takes what would have been started."""

    def __init__(self, error: OSError | None = None) -> None:
        self.calls: list[tuple[list[str], dict[str, str]]] = []
        self.error = error

    def __call__(self, program, arguments, environment) -> None:
        if self.error:
            raise self.error
        self.calls.append((list(arguments), dict(environment)))


def test_new_process_finds_the_token_in_a_file_of_its_own(tmp_path):
    executed = Executed()
    environment = {"HOME": str(tmp_path), "AGENT_ENROLL_TOKEN": "dpe_older"}
    arguments = ["python", "-m", "agent_client", "main", "--enroll", TOKEN]
    assert hide(TOKEN, arguments=arguments, environment=environment, execute=executed)
    ((started, fresh),) = executed.calls
    assert started == [sys.executable, "-m", "agent_client", "main"]
    assert TOKEN not in str(fresh)
    assert load_config({}, fresh, tmp_path).enroll_token == TOKEN
    # It is read again when the configuration is.
    assert load_config({}, fresh, tmp_path).enroll_token == TOKEN


@pytest.mark.parametrize("token", [None, ""])
def test_nothing_is_started_anew_without_a_token(token):
    executed = Executed()
    arguments = ["python", "-m", "agent_client", "main"]
    assert not hide(token, arguments=arguments, environment={}, execute=executed)
    assert executed.calls == []


def test_agent_goes_on_when_it_cannot_be_started_anew(caplog):
    executed = Executed(OSError(1, "Operation not permitted"))
    arguments = ["python", "main", "--enroll", TOKEN]
    assert not hide(TOKEN, arguments=arguments, environment={}, execute=executed)
    assert "stays visible" in caplog.text
    assert TOKEN not in caplog.text


async def test_token_is_not_in_the_process_list_of_a_real_agent(tmp_path):
    async with fake_server() as server:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "agent_client", "main", "--server", server.url),
                *("--state-dir", str(tmp_path / "state"), "--enroll", ENROLL_TOKEN),
            ],
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            cwd=Path(__file__).resolve().parents[3],
            stderr=subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(60):
                while not server.is_connected:
                    await asyncio.sleep(0.05)
            words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
            assert b"--server" in words
            assert ENROLL_TOKEN.encode() not in words
            assert server.registrations[0]["enroll_token"] == ENROLL_TOKEN
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)
