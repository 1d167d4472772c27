"""The agent as a process: its start, its ends, and what survives a kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent_client.config import load_config
from agent_client.errors import ExitCode
from agent_client.main_agent import setup_main_agent
from agent_client.policy import Policy
from agent_client.policy_file import POLICY_FILE
from agent_client.state import StateDirectory
from tests.agent_client.fake_server import ENROLL_TOKEN, FakeServer, fake_server, spec

ROOT = Path(__file__).parents[2]


class Host:
    """Starts agents on one state directory."""

    def __init__(self, server: FakeServer, directory: Path) -> None:
        self.server = server
        self.state_dir = directory / "state"
        self._directory = directory

    @contextlib.asynccontextmanager
    async def agent(
        self, *options: str, enroll: str = ENROLL_TOKEN, **environment: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run an agent process for the length of the block."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent_client", "main"),
            *("--server", self.server.url, "--state-dir", str(self.state_dir)),
            *("--enroll", enroll, *options),
            cwd=self._directory,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": str(self._directory),
                "AGENT_LOGGING_LOG_DIR": str(self._directory / "logs"),
                "AGENT_CONNECTION_WS_BACKOFF_INITIAL_MS": "20",
                **environment,
            },
            stderr=asyncio.subprocess.PIPE,
            pass_fds=[int(value) for name, value in environment.items() if name.endswith("_FD")],
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def connected(self) -> None:
        """Wait until an agent is connected."""
        async with asyncio.timeout(20):
            while not self.server.is_connected:
                await asyncio.sleep(0.01)


@pytest.fixture
async def host(tmp_path) -> AsyncIterator[Host]:
    async with fake_server() as server:
        yield Host(server, tmp_path)


async def end_of(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """Return exit code and what was said."""
    async with asyncio.timeout(20):
        _, text = await process.communicate()
    assert process.returncode is not None
    return process.returncode, text.decode()


async def test_host_registers_once_when_it_is_started_twice(host):
    for _ in range(2):
        async with host.agent() as process:
            await host.connected()
            process.send_signal(signal.SIGTERM)
            assert (await end_of(process))[0] == ExitCode.OK
        await host.server.cut()
    assert len(host.server.registrations) == 1


async def test_later_start_needs_nothing_when_the_host_is_registered(host):
    async with host.agent():
        await host.connected()
    await host.server.cut()
    async with host.agent(enroll=""):
        await host.connected()


async def test_agent_ends_clearly_when_the_token_is_refused(host):
    async with host.agent(enroll="dpe_wrong") as process:
        code, text = await end_of(process)
    assert code == ExitCode.REFUSED
    assert "The token is used." in text


async def test_agent_ends_clearly_when_it_has_no_token(host):
    async with host.agent(enroll="") as process:
        assert (await end_of(process))[0] == ExitCode.USAGE


async def test_second_agent_ends_clearly_when_the_first_has_the_state(host):
    async with host.agent():
        await host.connected()
        async with host.agent() as second:
            code, text = await end_of(second)
    assert code == ExitCode.LOCKED
    assert "in use" in text


async def test_agent_leaves_when_whoever_started_it_is_gone(host):
    read_end, write_end = os.pipe()
    async with host.agent(AGENT_LIVENESS_FD=str(read_end)) as process:
        os.close(read_end)
        await host.connected()
        os.close(write_end)
        assert (await end_of(process))[0] == ExitCode.OK


async def test_agent_leaves_when_it_is_told_before_it_could_register(host):
    host.server.http_status = 503
    async with host.agent() as process:
        async with asyncio.timeout(20):
            while len(host.server.requests) < 2:
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert (await end_of(process))[0] == ExitCode.OK


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_each_line_arrives_once_when_the_agent_is_ended_and_started_again(host, number):
    script = "echo started >> {}; for i in $(seq 1 60); do echo line $i; sleep 0.03; done"
    ledger = host.state_dir.parent / "ledger"
    logs = host.server.brain.logs
    async with host.agent() as process:
        await host.connected()
        await host.server.offer(*[spec(n, script.format(ledger)) for n in range(1, 6)])
        await host.server.until(lambda: all(b"line 9\n" in logs.get(n, b"") for n in range(1, 6)))
        process.send_signal(number)
        await end_of(process)
    await host.server.cut()
    async with host.agent():
        await host.server.until(lambda: len(host.server.brain.results) == 5)
        expected = "".join(f"line {n}\n" for n in range(1, 61)).encode()
        await host.server.until(lambda: all(logs[n] == expected for n in range(1, 6)))
    assert ledger.read_text() == "started\n" * 5
    assert {result.exit_code for result in host.server.brain.results.values()} == {0}


def test_parts_are_not_there_when_the_agent_was_not_started(tmp_path):
    agent = setup_main_agent(load_config({"state_dir": str(tmp_path)}, {}, tmp_path))
    agent.leave()
    with pytest.raises(RuntimeError):
        agent.get_resource_info()


async def test_registered_host_that_lost_its_policy_stays_away(host):
    async with host.agent():
        await host.connected()
    await host.server.cut()
    (host.state_dir / POLICY_FILE).unlink()
    async with host.agent() as process:
        code, text = await end_of(process)
    assert code == ExitCode.USAGE
    assert "policy_unusable" in text
    assert not (host.state_dir / POLICY_FILE).exists()


def test_hang_up_while_the_policy_is_being_replaced_keeps_the_old_one(tmp_path, caplog):
    config = load_config({"state_dir": str(tmp_path)}, {}, tmp_path)
    agent = setup_main_agent(config, reload=lambda: config)
    policies: list[Policy] = []
    agent._app = SimpleNamespace(reconfigure=lambda _, policy: policies.append(policy))
    agent.reload()
    assert "policy_unusable" in caplog.text
    (tmp_path / POLICY_FILE).touch(0o600)
    agent.reload()
    assert policies == []
    (tmp_path / POLICY_FILE).write_text("max_tasks: 3\n")
    agent.reload()
    assert policies == [Policy(max_tasks=3)]


async def test_face_does_what_its_names_say_when_the_agent_runs(host, monkeypatch):
    settings = {
        "connection.agent_server_url": host.server.url,
        "state_dir": str(host.state_dir),
        "enroll_token": ENROLL_TOKEN,
    }
    monkeypatch.delenv("AGENT_LIVENESS_FD", raising=False)
    agent = setup_main_agent(load_config(settings, {"HOME": "/"}, host.state_dir.parent))
    StateDirectory(host.state_dir).lock()
    living = asyncio.create_task(agent._live())
    await host.connected()
    beat = agent.send_heartbeat()
    await host.server.until(
        lambda: any(one.message_id == beat.message_id for one in host.server.brain.received)
    )
    agent.create_sub_agent(spec(1, "echo hi"))
    await host.server.until(lambda: 1 in host.server.brain.results)
    assert agent.get_resource_info() is not None
    agent.leave()
    assert await living == ExitCode.OK


HANG = """
import sys, threading
from agent_client import __main__ as program
from agent_client.probing.pool import _THREADS
threading.Thread(target=threading.Event().wait, name=f"{_THREADS}_0").start()
program._end(5)
"""


def test_program_ends_although_a_probe_hangs():
    done = subprocess.run([sys.executable, "-c", HANG], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 5
