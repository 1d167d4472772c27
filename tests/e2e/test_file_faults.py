"""A large file each way while connections are cut and agent, server and mover are killed.

256 MiB in a test; DIALER_TEST_FILE_MIB=1024 for more. What goes over the line is counted by
a proxy between the host and the server. The file's name at its destination is looked at all
the while: it is absent, or the file is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from agent_client.protocol.transfers import CHUNK_DIGEST_HEADER, MAX_CHUNK_BYTES
from tests.e2e.stack import Stack, running_stack, wait_for
from tests.faults.proxy import Proxy

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("file-faults"), pytest.mark.timeout(400)]

MIB = 1024 * 1024
SIZE_BYTES = int(os.environ.get("DIALER_TEST_FILE_MIB", "256")) * MIB
PIECE_BYTES = 16 * MIB
BANDWIDTH_MB = 30
OVERHEAD_SHARE = 0.01
"""Of headers, heartbeats and logs on the same line."""
FAULTS = ("mover", "cut", "agent", "server", "cut")
"""The mover is the process that moves the file; its end is the end of its task."""
LOOK_SECONDS = 0.002


@dataclass
class Line:
    """A host that reaches its server by a proxy only."""

    stack: Stack
    proxy: Proxy
    root: Path
    agent_id: str

    def start_agent(self) -> str:
        """Start the agent, again after a kill."""
        return self.stack.start_agent(server=self.proxy.url)

    def start(self, kind: str, **file: object) -> int:
        """Submit a task that moves a file and return its id."""
        body = {"kind": kind, "agent_id": self.agent_id, "file": file}
        answer = self.stack.post("/api/v1/tasks/", body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def do(self, fault: str, task_id: int) -> None:
        """Break something, and bring it back."""
        if fault == "cut":
            self.proxy.reset_all()
        elif fault == "mover":
            mover_of(self.stack, task_id).kill()
        elif fault == "agent":
            self.stack.kill_agent()
            self.start_agent()
        else:
            self.stack.kill_server()
            self.stack.start_server()


class Look:
    """Looks at a name again and again in a thread: what is there must be whole and right."""

    def __init__(self, sha256: str) -> None:
        self.path: Path | None = None
        self.wrong: list[str] = []
        self.times = 0
        self._sha256 = sha256
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Look:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            if self.path is not None and not self.wrong and self._look(self.path):
                return

    def _look(self, path: Path) -> bool:
        """Return whether the file is there; what is wrong with it is noted."""
        self.times += 1
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return False
        if size != SIZE_BYTES or digest_of(path) != self._sha256:
            self.wrong.append(f"seen with {size} bytes at look {self.times}")
        return True


def mover_of(stack: Stack, task_id: int) -> psutil.Process:
    """Return the process that moves the file of a task of this installation."""
    for process in psutil.process_iter(["cmdline"]):
        if "agent_client.files.__main__" not in " ".join(process.info["cmdline"] or ()):
            continue
        with contextlib.suppress(psutil.Error):
            found = process.environ()
            is_here = found.get("DIALER_TASK_DIRECTORY", "").startswith(str(stack.directory))
            if is_here and found.get("DIALER_TASK_ID") == str(task_id):
                return process
    raise AssertionError(f"no process moves the file of task {task_id}")


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "stack").mkdir()
    with running_stack(tmp_path / "stack") as stack:
        proxy = Proxy(stack.port)
        state = stack.directory / "agent-host1"
        state.mkdir(mode=0o700, parents=True)
        policy = state / "policy.yaml"
        policy.write_text(f'directories: ["{root}"]\n')
        policy.chmod(0o600)
        one = Line(stack, proxy, root, "")
        one.agent_id = one.start_agent()
        try:
            yield one
        finally:
            proxy.close()


def made(path: Path) -> str:
    """Write a file that does not compress and return its digest."""
    chance, digest = random.Random(7), hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(SIZE_BYTES // PIECE_BYTES):
            piece = chance.randbytes(PIECE_BYTES)
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def store(stack: Stack, path: Path, sha256: str) -> str:
    """Bring a file to the server, around the proxy."""
    facts = {"name": "f", "size_bytes": SIZE_BYTES, "sha256": sha256}
    file_id = str(stack.post("/api/v1/files/", facts).json()["id"])
    with path.open("rb") as file:
        for offset in range(0, SIZE_BYTES, MAX_CHUNK_BYTES):
            chunk = file.read(MAX_CHUNK_BYTES)
            headers = {
                **stack.credentials,
                CHUNK_DIGEST_HEADER: hashlib.sha256(chunk).hexdigest(),
                "Content-Type": "application/octet-stream",
            }
            url = f"{stack.url}/api/v1/files/{file_id}/content/?offset={offset}"
            assert requests.put(url, data=chunk, headers=headers, timeout=60).ok
    return file_id


def with_faults(
    line: Line, start: Callable[[], int], moved: Callable[[], int]
) -> tuple[dict[str, Any], int]:
    """Break something at every sixth of the way; return the ended task and the bytes it moved.

    Where the mover was killed its task has failed, and another one begins.
    """
    began, task_id, lost = time.monotonic(), start(), 0
    for count, fault in enumerate(FAULTS, 1):
        due = count * SIZE_BYTES // (len(FAULTS) + 1)
        wait_for(lambda due=due: moved() >= due, seconds=180)  # type: ignore[misc]
        line.do(fault, task_id)
        if fault == "mover":
            ended = line.stack.wait_final(task_id, seconds=60)
            assert (ended["status"], ended["signal"]) == ("failed", signal.SIGKILL)
            lost = moved()
            task_id = start()
    task = line.stack.wait_final(task_id, seconds=300)
    print(f"{SIZE_BYTES} bytes in {time.monotonic() - began:.1f} s")
    return task, lost


def check_repeated(moved_bytes: int) -> None:
    """At most one chunk was sent twice for each interruption."""
    repeated = moved_bytes - SIZE_BYTES
    print(f"{repeated} bytes more than the file on the line, {len(FAULTS)} interruptions")
    assert repeated <= len(FAULTS) * MAX_CHUNK_BYTES + OVERHEAD_SHARE * SIZE_BYTES


def test_large_file_reaches_its_host_through_kills_and_cuts(line: Line, tmp_path: Path) -> None:
    sha256 = made(tmp_path / "source")
    file_id = store(line.stack, tmp_path / "source", sha256)
    target = line.root / "target"
    before = line.proxy.down_bytes

    def start() -> int:
        order = {"id": file_id, "path": str(target), "mode": "0600"}
        return line.start("file_upload", bandwidth_mb=BANDWIDTH_MB, **order)

    with Look(sha256) as look:
        look.path = target
        task, _lost = with_faults(line, start, lambda: line.proxy.down_bytes - before)
    assert task["status"] == "completed", line.stack.log(task["id"]).decode()
    assert (look.wrong, look.times > 100) == ([], True)
    assert digest_of(target) == sha256
    assert [one.name for one in line.root.iterdir()] == ["target"]
    # Also over the end of the mover: another task goes on with what has arrived.
    check_repeated(line.proxy.down_bytes - before)


def test_large_file_leaves_its_host_through_kills_and_cuts(line: Line, tmp_path: Path) -> None:
    sha256 = made(line.root / "source")
    before = line.proxy.up_bytes
    look = Look(sha256)

    def start() -> int:
        source = str(line.root / "source")
        task_id = line.start("file_download", path=source, bandwidth_mb=BANDWIDTH_MB)
        file_id = line.stack.get("/api/v1/files/").json()["results"][0]["id"]  # the newest
        look.path = line.stack.data / "files" / file_id[:2] / file_id
        return task_id

    with look:
        task, lost = with_faults(line, start, lambda: line.proxy.up_bytes - before)
    assert task["status"] == "completed", line.stack.log(task["id"]).decode()
    assert (look.wrong, look.times > 100) == ([], True)
    got = tmp_path / "got"
    url = f"{line.stack.url}/api/v1/files/{task['file']['id']}/content/"
    answer = requests.get(url, headers=line.stack.credentials, stream=True, timeout=60)
    with answer, got.open("wb") as file:
        for piece in answer.iter_content(MIB):
            file.write(piece)
    assert digest_of(got) == sha256
    # The task of the killed mover had a file of its own; the next one begins anew.
    check_repeated(line.proxy.up_bytes - before - lost)
