"""The local endpoint of a whole agent: what it says when it is well, and when it is not."""

from __future__ import annotations

import asyncio
import socket
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent_client.app import App
from agent_client.commands.status import NoAnswer, as_text, ask, is_ready, parsed
from agent_client.health.endpoint import SOCKET_FILE
from agent_client.health.lag import LagMeter
from agent_client.health.lines import WITHIN
from agent_client.health.pages import GAUGES
from agent_client.health.report import Health
from agent_client.probing.backlog import Backlog
from tests.agent_client.fake_server import fake_server, spec
from tests.agent_client.test_app import config_for, running_app
from tests.e2e.stack import ROOT, free_port


async def page(state_dir: Path, path: str) -> bytes:
    return await asyncio.to_thread(ask, state_dir, path)


async def health_in(state_dir: Path) -> Health:
    return msgspec.json.decode(await page(state_dir, "/status"), type=Health)


@pytest.fixture
async def server():
    async with fake_server() as found:
        yield found


@pytest.fixture
async def app(server, tmp_path):
    async with running_app(config_for(server, tmp_path)) as found:
        await found.link.wait_ready()
        yield found


async def test_agent_that_is_well_says_so(app: App, tmp_path):
    assert await page(tmp_path, "/live") == b"ok\n"
    assert await page(tmp_path, "/ready") == b"ok\n"
    found = await health_in(tmp_path)
    assert (found.is_ready, found.problems, found.transport) == (True, (), "websocket")
    assert set(found.loops) == {part.name for part in app.parts()} | set(WITHIN)
    assert all(found.loops.values())


async def test_running_task_is_counted(app: App, server, tmp_path):
    await server.offer(spec(1, "sleep 30"))
    await server.until(lambda: "Started" in server.brain.kinds())
    found = await health_in(tmp_path)
    assert (found.tasks, found.slots_booked) == ({"running": 1}, 1)
    assert "1 running; starts take" in found.loops["supervisor"]
    assert 0 < found.spawn_p50_seconds <= found.spawn_p99_seconds


async def test_metrics_are_prometheus_text(app: App, tmp_path):
    lines = (await page(tmp_path, "/metrics")).decode().splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert figures["dialer_agent_ready"] == "1"
    assert figures['dialer_agent_tasks{state="running"}'] == "0"
    assert all(float(value) >= 0 for value in figures.values())
    assert {f"dialer_agent_{name}" for name in GAUGES} <= set(figures)


async def test_agent_whose_outbox_is_nearly_full_is_not_ready(app: App, tmp_path, monkeypatch):
    full = Backlog(results=9, size_bytes=5 * 2**20, fill=0.81, failures=3)
    monkeypatch.setattr(app.dialing, "backlog", lambda: full)
    assert b"81 % full" in await page(tmp_path, "/ready")
    found = await health_in(tmp_path)
    assert not found.is_ready
    assert (found.outbox_results, found.outbox_bytes, found.outbox_fill) == (9, 5 * 2**20, 0.81)
    assert found.loops["outbox"] == "9 results, 5.0 MiB, 81 % of its bound"
    assert found.loops["uploader"] == "3 failures in a row, 0 results refused"
    monkeypatch.setattr(app.dialing, "backlog", lambda: full._replace(fill=0.8))
    assert (await health_in(tmp_path)).is_ready


async def test_agent_without_a_server_is_alive_and_not_ready(tmp_path, server):
    nowhere = {"connection.agent_server_url": "http://127.0.0.1:1"}
    lost = config_for(server, tmp_path, **nowhere)
    async with running_app(lost):
        assert await page(tmp_path, "/live") == b"ok\n"
        assert b"No connection to the server" in await page(tmp_path, "/ready")
        found = await health_in(tmp_path)
    assert not found.is_ready
    assert as_text(msgspec.to_builtins(found)).splitlines()[1].startswith("  ! No connection")


async def test_socket_file_is_the_owners_and_gone_afterwards(server, tmp_path):
    async with running_app(config_for(server, tmp_path)):
        assert stat.S_IMODE((tmp_path / SOCKET_FILE).stat().st_mode) == 0o600
    assert not (tmp_path / SOCKET_FILE).exists()
    with pytest.raises(NoAnswer, match="is it started"):
        ask(tmp_path, "/status")


async def test_long_state_directory_is_no_problem(server, tmp_path):
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    async with running_app(config_for(server, deep)):
        assert await page(deep, "/live") == b"ok\n"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"POST /status HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /secrets HTTP/1.1\r\n\r\n", b"404"),
        (b"\xff\xfe\r\n\r\n", b"405"),
        (b"GET /live?x=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"200"),
        (b"GET /status HTTP/1.1\r\nHost: Localhost:9100\r\n\r\n", b"200"),
        (b"GET /status HTTP/1.1\r\nHost: [::1]:9100\r\n\r\n", b"200"),
        (b"GET /status HTTP/1.1\r\nHost: rebound.example:9100\r\n\r\n", b"421"),
        (b"GET /status HTTP/1.1\r\nhost:127.0.0.1.example\r\n\r\n", b"421"),
        (b"GET /status HTTP/1.1\r\nHost: localhost\r\nHost: a.example\r\n\r\n", b"421"),
        (b"GET /status HTTP/1.1\r\nHost:\r\n\r\n", b"421"),
        (b"GET /live HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n", b""),
        (b"x" * 100_000 + b"\r\n\r\n", b""),
    ],
)
async def test_port_answers_only_what_it_knows(server, tmp_path, request_line, status):
    port = free_port()
    async with running_app(config_for(server, tmp_path, **{"health.port": port})):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_line)
        answer = await reader.read()
        writer.close()
    assert answer[9:12] == status


async def test_socket_file_answers_whatever_it_is_called(app: App, tmp_path):
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_FILE))
    writer.write(b"GET /live HTTP/1.1\r\nHost: agent\r\n\r\n")
    assert (await reader.read())[9:12] == b"200"
    writer.close()


async def test_port_in_use_does_not_stop_the_agent(server, tmp_path, caplog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with running_app(config_for(server, tmp_path, **{"health.port": port})):
            assert await page(tmp_path, "/live") == b"ok\n"
    assert f"port {port} for health is not free" in caplog.text


async def test_blocked_loop_shows_as_lag():
    now = [0.0]
    meter = LagMeter(clock=lambda: now.__setitem__(0, now[0] + 1.0) or now[0])
    running = asyncio.ensure_future(meter.run())
    async with asyncio.timeout(5):
        while not meter.percentile(0.5):
            await asyncio.sleep(0.01)
    running.cancel()
    assert meter.percentile(0.99) == pytest.approx(0.5)


def test_status_without_an_agent_ends_with_its_own_code(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "agent_client", "status", "--state-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "is it started?" in done.stderr


async def test_status_shows_what_an_agent_of_another_version_knows(app: App, tmp_path):
    whole = parsed(await page(tmp_path, "/status"))
    assert " MiB, " in as_text(whole)
    for name in whole:
        older = {key: value for key, value in whole.items() if key != name}
        assert is_ready(older)
        assert as_text(older)
    assert as_text({}).splitlines() == [
        "- (-) is well: -, -",
        "  version -, up -, -, -, slots -/-, disk -, loop lag p99 -",
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"not found"])
def test_answer_that_is_no_status_is_said_to_be_none(body):
    with pytest.raises(NoAnswer, match="no status"):
        parsed(body)
