"""What this machine can do at best: process starts, durable writes; and what it is."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import django
import psutil

from agent_client import __version__
from bench.figures import Row, row_of

_ROOT = Path(__file__).resolve().parents[1]


def describe() -> str:
    """Return one paragraph: when, on what, at which load, which versions, which commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, capture_output=True, text=True
    ).stdout.strip()
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {psutil.cpu_count()} cores "
        f"({platform.machine()}), {psutil.virtual_memory().total >> 30} GiB, "
        f"Linux {platform.release()}, load {load}, Python {platform.python_version()}, "
        f"Django {django.__version__}, product {__version__} at {commit or 'no commit'}"
    )


def limits(directory: Path) -> list[Row]:
    """Return the machine's own rates, measured now, in the directory the data lives in."""
    return [_spawn_alone(), _spawn_rate(at_once=8), _fsync(directory)]


def _spawn_alone(n: int = 200) -> Row:
    """Start /bin/true and wait for it, one after the other."""
    values = []
    for _ in range(n):
        began = time.perf_counter()
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(pid, 0)
        values.append((time.perf_counter() - began) * 1000)
    return row_of("machine: fork + exec + wait", "ms", values)


def _spawn_rate(at_once: int, n: int = 800) -> Row:
    """Keep `at_once` processes running until n have ended."""
    began, started, running = time.perf_counter(), 0, 0
    while started < n or running:
        while started < n and running < at_once:
            os.posix_spawn("/bin/true", ["true"], {})
            started, running = started + 1, running + 1
        os.wait()
        running -= 1
    rate = n / (time.perf_counter() - began)
    return Row(f"machine: fork + exec, {at_once} at once", "1/s", rate, n=n)


def _fsync(directory: Path, n: int = 200) -> Row:
    """Append 512 bytes and make them durable."""
    path, values = directory / "fsync", []
    with path.open("wb", buffering=0) as stream:
        for _ in range(n):
            began = time.perf_counter()
            stream.write(b"x" * 512)
            os.fsync(stream.fileno())
            values.append((time.perf_counter() - began) * 1000)
    path.unlink()
    return row_of("machine: write + fsync", "ms", values)
