"""A large log from the script to the store, byte for byte, and a small one to the browser."""

from __future__ import annotations

import hashlib
import json
import random
import re
import string
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests
from websockets.sync.client import ClientConnection, connect

from agent_client.protocol import frames
from bench.figures import Row, row_of
from bench.idle import cpu_seconds, resident_mb, tree_of
from tests.e2e.stack import PASSWORD, Stack, wait_for

MB = 1_000_000
_READ_BYTES = 8 * 1024 * 1024
_OFFSET = struct.Struct("!Q")
_ECHO_SECONDS = 0.05


def large_log(stack: Stack, agent: psutil.Process, megabytes: int = 100) -> list[Row]:
    """Print a file of that size in a task; from submission until all of it is stored."""
    path = stack.directory / "large.txt"
    wanted = _make_text(path, megabytes * MB)
    assert stack.server is not None
    processes = [*tree_of(stack.server.pid), agent]
    spent = cpu_seconds(processes)
    with _peak_memory(agent) as peak:
        began = time.perf_counter()
        task_id = stack.submit(f"exec cat {path}\n")
        wait_for(lambda: _is_stored(stack, task_id, megabytes * MB), seconds=300, each=0.02)
        elapsed = time.perf_counter() - began
    spent = cpu_seconds(processes) - spent
    same = _hash_of_log(stack, task_id, megabytes * MB) == wanted
    return [
        Row(
            f"log of {megabytes} MB, stored",
            "MB/s",
            megabytes / elapsed,
            floor=50,
            goal=120,
            more_is_better=True,
            note="sha256 equal" if same else "SHA256 DIFFERS",
        ),
        Row("  CPU of agent + server for it", "s", spent, goal=1.5 * megabytes / 100),
        Row("  growth of the agent's memory", "MiB", peak[-1] - peak[0], note="peak - before"),
    ]


def echo_to_browser(stack: Stack, n: int) -> Row:
    """Follow a task over the browser's socket; from `echo` to the line's arrival."""
    script = (
        f"#!/bin/bash\nsleep 1\nfor i in $(seq {n}); do "
        f"echo $EPOCHREALTIME; sleep {_ECHO_SECONDS}; done\n"
    )
    cookies = _log_in(stack)
    task_id = stack.submit(script)
    address = f"ws://127.0.0.1:{stack.port}/ws/tasks/{task_id}/log/?offset=0"
    headers = {"Cookie": cookies}
    with connect(address, additional_headers=headers, origin=stack.url) as socket:  # type: ignore[arg-type]
        values = [(arrived - told) * 1000 for arrived, told in _lines(socket, n)]
    return row_of("echo to browser socket", "ms", values, floor=200, goal=30)


def _make_text(path: Path, size: int) -> str:
    """Write lines of text to the size and return their sha256."""
    chars = (string.ascii_letters + string.digits).encode()
    source = random.Random(7)
    block = b"".join(bytes(source.choices(chars, k=99)) + b"\n" for _ in range(10_000))
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for start in range(0, size, len(block)):
            part = block[: min(len(block), size - start)]
            digest.update(part)
            stream.write(part)
    return digest.hexdigest()


def _is_stored(stack: Stack, task_id: int, size: int) -> bool:
    reply = stack.get(f"/api/v1/tasks/{task_id}/log/", params={"offset": size, "limit": 1})
    complete = reply.headers.get("X-Log-Complete", "").lower() == "true"
    if complete and int(reply.headers["X-Log-Size"]) != size:
        raise RuntimeError(f"the log ended at {reply.headers['X-Log-Size']} of {size} bytes")
    return complete


def _hash_of_log(stack: Stack, task_id: int, size: int) -> str:
    digest = hashlib.sha256()
    for offset in range(0, size, _READ_BYTES):
        digest.update(stack.log(task_id, offset=offset, limit=_READ_BYTES))
    return digest.hexdigest()


@contextmanager
def _peak_memory(process: psutil.Process) -> Iterator[list[float]]:
    """Yield a list: the memory before, and at the end of the block the peak behind it."""
    values, done = [resident_mb(process)], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            values.append(resident_mb(process))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield values
    finally:
        done.set()
        thread.join()
        values.append(max(values))


def _log_in(stack: Stack) -> str:
    """Log in as a browser does and return the cookie header."""
    session = requests.Session()
    address = f"{stack.url}/accounts/login/"
    field = re.search(
        r'name="csrfmiddlewaretoken" value="([^"]+)"', session.get(address, timeout=10).text
    )
    form = {
        "username": "admin",
        "password": PASSWORD,
        "csrfmiddlewaretoken": field[1] if field else "",
    }
    reply = session.post(
        address, data=form, headers={"Referer": address}, timeout=10, allow_redirects=False
    )
    if reply.status_code != 302:
        raise RuntimeError(f"cannot log in as admin: HTTP {reply.status_code}")
    return "; ".join(f"{name}={value}" for name, value in session.cookies.items())


def _lines(socket: ClientConnection, n: int) -> Iterator[tuple[float, float]]:
    """Yield (arrival, time told) of n lines; acknowledges what it has read."""
    found, rest = 0, b""
    while found < n:
        message = socket.recv(timeout=30)
        arrived = time.time()
        if isinstance(message, str):
            continue
        (offset,) = _OFFSET.unpack_from(message)
        payload = b"".join(frame.payload for frame in frames.decode(message[_OFFSET.size :]))
        socket.send(json.dumps({"ack": offset + len(payload)}))
        *lines, rest = (rest + payload).split(b"\n")
        for line in lines:
            found += 1
            yield arrived, float(line)
