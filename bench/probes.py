"""Ten thousand http probes a minute on one agent, beside blackbox_exporter on the same targets.

The agent is the real process with its outbox and uploads; the server is the tests' stand-in,
so that only the agent's own use is counted. nginx answers with 64 bytes; the others accept
and never answer. Needs nginx; without blackbox_exporter its row is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from agent_client.policy_file import POLICY_FILE, write_default
from agent_client.protocol.probes import ProbeResult, ProbeTask
from bench.figures import Row, percentile
from bench.idle import MIB, cpu_seconds, tree_of
from tests.agent_client.fake_server import AGENT_ID, TOKEN, FakeServer, fake_server
from tests.e2e.stack import ROOT, free_port, wait_for

PROBES = 10_000
INTERVAL_SECONDS = 60.0
TIMEOUT_SECONDS = 5.0
WARM_UP_SECONDS = 10.0
_NGINX = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log crit;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b;
fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{body}"; }} }} }}
"""
_MODULES = "modules: {http_2xx: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}}\n"


@dataclass(frozen=True, slots=True)
class Use:
    """What one run came to."""

    results: list[ProbeResult]
    cpu_seconds: float
    wall_seconds: float
    resident_mb: float
    missed: int


def dial_tests(directory: Path, *, seconds: float) -> list[Row]:
    """Return the rows of a healthy run, one with 30 % hanging targets, and blackbox_exporter."""
    directory.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with nginx(directory) as good, tarpit() as bad:
        healthy = run(directory / "healthy", targets(good, bad, hanging=0.0), seconds)
        rows += _rows(healthy, "all healthy")
        hanging = run(directory / "hanging", targets(good, bad, hanging=0.3), seconds)
        rows += _rows(hanging, "30 % hanging")
        each = 1000 * healthy.cpu_seconds / len(healthy.results)
        other = blackbox(directory, good, seconds=min(30.0, seconds))
        note = "" if other is None else f"blackbox_exporter {other:.2f} ms in the same run"
        goal = None if other is None else 0.8 * other
        rows.append(Row("CPU per http probe, whole agent", "ms", each, goal=goal, note=note))
    return rows


def targets(good: int, bad: int, *, hanging: float) -> tuple[ProbeTask, ...]:
    """Return the probes; a share of them goes to the port that never answers."""
    return tuple(
        ProbeTask(
            task_id=number + 1,
            tenant_id="default",
            kind="http",
            interval=INTERVAL_SECONDS,
            timeout=TIMEOUT_SECONDS,
            target=f"http://127.0.0.1:{bad if number % 10 < hanging * 10 else good}/{number}",
            version=1,
        )
        for number in range(PROBES)
    )


def run(directory: Path, probes: tuple[ProbeTask, ...], seconds: float) -> Use:
    """Run one agent with the probes and return what it did in a window of some seconds."""
    directory.mkdir()
    with serving() as server:
        server.dial.revision, server.dial.probes = 1, probes
        agent = _start_agent(server, directory)
        try:
            time.sleep(WARM_UP_SECONDS)
            tree = tree_of(agent.pid)
            before, since = cpu_seconds(tree), time.time()
            time.sleep(seconds)
            used, until = cpu_seconds(tree) - before, time.time()
            alive = [process for process in tree if process.is_running()]
            resident = sum(process.memory_full_info().pss for process in alive) / MIB
        finally:
            agent.terminate()
            agent.wait(60)
        found = [one for one in server.dial.results.values() if since <= one.started_at < until]
    results = [one for one in found if one.outcome != "missed"]
    missed = sum(one.count for one in found if one.outcome == "missed")
    return Use(results, used, until - since, resident, missed)


def _rows(use: Use, what: str) -> list[Row]:
    late = [1000 * one.late_seconds for one in use.results if one.outcome == "up"]
    share = 100 * use.cpu_seconds / use.wall_seconds
    n = len(use.results)
    note = f"max {max(late):.1f} ms; {use.missed} missed"
    p99 = percentile(late, 0.99)
    goal = 1.0 if what == "all healthy" else 5.0
    return [
        Row(f"probe starts late, {what}, p50", "ms", percentile(late, 0.5), n=n),
        Row(f"probe starts late, {what}, p99", "ms", p99, n=n, floor=20, goal=goal, note=note),
        Row(f"agent CPU, {what}", "% of a core", share, floor=15, goal=5),
        Row(f"agent memory, {what}", "MiB", use.resident_mb, floor=100, goal=80),
    ]


def _start_agent(server: FakeServer, directory: Path) -> subprocess.Popen[bytes]:
    """Start an agent that is enrolled already."""
    identity = {"instance_id": "bench", "agent_id": AGENT_ID, "agent_token": TOKEN}
    (directory / "identity.json").write_text(json.dumps(identity))
    # An enrolled host without a policy stays away.
    write_default(directory / POLICY_FILE)
    command = [sys.executable, "-m", "agent_client", "main", "--server", server.url]
    options = ["--state-dir", str(directory), "--log-mode", "WARNING"]
    output = (directory / "agent.out").open("wb")
    return subprocess.Popen(
        [*command, *options], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )


@contextlib.contextmanager
def serving() -> Iterator[FakeServer]:
    """Run the stand-in for the server in a thread."""
    ready, over = threading.Event(), asyncio.Event()
    found: list[FakeServer] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with fake_server() as server:
            found.append(server)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)


@contextlib.contextmanager
def nginx(directory: Path) -> Iterator[int]:
    """Run nginx on a free port and return the port."""
    port = free_port()
    file = directory / "nginx.conf"
    file.write_text(_NGINX.format(dir=directory, port=port, body="x" * 64))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-c", str(file)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _is_open(port))
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def tarpit() -> Iterator[int]:
    """Listen on a port, accept everything, never answer."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    held: list[socket.socket] = []

    def hold() -> None:
        with contextlib.suppress(OSError):
            while True:
                held.append(listener.accept()[0])
                if len(held) > 2_000:
                    held.pop(0).close()

    threading.Thread(target=hold, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()


def blackbox(directory: Path, port: int, *, seconds: float) -> float | None:
    """Return the CPU milliseconds of blackbox_exporter per probe at the same pace."""
    program = shutil.which("prometheus-blackbox-exporter") or shutil.which("blackbox_exporter")
    if program is None:
        return None
    file = directory / "blackbox.yml"
    file.write_text(_MODULES)
    own = free_port()
    options = [f"--config.file={file}", f"--web.listen-address=127.0.0.1:{own}"]
    process = subprocess.Popen(
        [program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: _is_open(own))
        tree = [psutil.Process(process.pid)]
        before = cpu_seconds(tree)
        count = _drive(own, port, seconds)
        return 1000 * (cpu_seconds(tree) - before) / count
    finally:
        process.terminate()
        process.wait(10)


def _drive(own: int, port: int, seconds: float) -> int:
    """Ask for probes at the pace of the schedule over one kept connection; return how many."""
    connection = http.client.HTTPConnection("127.0.0.1", own, timeout=10)
    pause = INTERVAL_SECONDS / PROBES
    start, count = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        target = quote(f"http://127.0.0.1:{port}/{count}", safe="")
        connection.request("GET", f"/probe?module=http_2xx&target={target}")
        body = connection.getresponse().read()
        assert b"probe_success 1" in body
        count += 1
        time.sleep(max(0.0, start + count * pause - time.monotonic()))
    return count


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
