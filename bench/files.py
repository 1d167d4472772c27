"""A large file to a host and from it: as fast as it goes, and held to a limit."""

from __future__ import annotations

import hashlib
import random
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from agent_client.protocol.transfers import CHUNK_DIGEST_HEADER, MAX_CHUNK_BYTES
from bench.figures import Row
from bench.idle import cpu_seconds, tree_of
from tests.e2e.stack import Stack

MB = 1_000_000
GIB = 1024**3
LIMIT_MB = 10
_PIECE_BYTES = 16 * 1024 * 1024


def transfers(stack: Stack, *, size_bytes: int, seconds: int) -> list[Row]:
    """Move a file of the size without limit, then one that takes so long at LIMIT_MB."""
    agent_id = stack.online_agent("bench")
    if agent_id is None:
        raise RuntimeError("the agent is not online")
    place = _Place(stack, agent_id)
    size_text = f"{size_bytes / GIB:.3g} GiB"
    rows = [
        place.fast(f"file of {size_text} to the host", "file_upload", size_bytes),
        place.fast(f"file of {size_text} from the host", "file_download", size_bytes),
    ]
    limited = LIMIT_MB * MB * seconds
    what = f"off {LIMIT_MB} MB/s over {seconds} s,"
    return [
        *rows,
        place.held(f"  {what} to the host", "file_upload", limited),
        place.held(f"  {what} from the host", "file_download", limited),
    ]


class _Place:
    """One host whose home directory is open to transfers."""

    def __init__(self, stack: Stack, agent_id: str) -> None:
        self._stack = stack
        self._agent_id = agent_id
        self._root = stack.directory / "home"

    def fast(self, name: str, kind: str, size_bytes: int) -> Row:
        """Return the rate without a limit, and what it costs the server."""
        assert self._stack.server is not None
        spent = -cpu_seconds(tree_of(self._stack.server.pid))
        rate, spent_storing = self._move(kind, size_bytes, bandwidth_mb=0)
        spent += cpu_seconds(tree_of(self._stack.server.pid)) - spent_storing
        return Row(
            name,
            "MB/s",
            rate,
            floor=100,
            more_is_better=True,
            note=f"sha256 equal; {spent * GIB / size_bytes:.2f} s CPU of the server a GiB",
        )

    def held(self, name: str, kind: str, size_bytes: int) -> Row:
        """Return by how much the rate misses its limit."""
        rate, _ = self._move(kind, size_bytes, bandwidth_mb=LIMIT_MB)
        off = 100 * abs(rate - LIMIT_MB) / LIMIT_MB
        return Row(name, "%", off, floor=10, note=f"{rate:.2f} MB/s")

    def _move(self, kind: str, size_bytes: int, *, bandwidth_mb: float) -> tuple[float, float]:
        """Move a fresh file and check it; return MB/s, and the server's CPU beside the task."""
        source, target = self._root / "source.bin", self._root / "target.bin"
        sha256 = _made(source, size_bytes)
        assert self._stack.server is not None
        beside = -cpu_seconds(tree_of(self._stack.server.pid))
        order: dict[str, Any] = {"path": str(source), "bandwidth_mb": bandwidth_mb}
        if kind == "file_upload":
            file_id = self._store(source, size_bytes, sha256)
            order |= {"id": file_id, "path": str(target)}
        beside += cpu_seconds(tree_of(self._stack.server.pid))
        task = self._run(kind, order)
        same = _digest_of(target) if kind == "file_upload" else task["file"]["sha256"]
        if same != sha256:
            raise RuntimeError(f"{kind}: the sha256 differs")
        self._stack.delete(f"/api/v1/files/{task['file']['id']}/")
        for path in (source, target):
            path.unlink(missing_ok=True)
        return size_bytes / MB / _seconds_of(task), beside

    def _run(self, kind: str, order: dict[str, Any]) -> dict[str, Any]:
        """Return the completed task of an order."""
        body = {"kind": kind, "agent_id": self._agent_id, "file": order}
        answer = self._stack.post("/api/v1/tasks/", body)
        if answer.status_code != 201:
            raise RuntimeError(f"{kind}: HTTP {answer.status_code} {answer.text[:300]}")
        task = self._stack.wait_final(answer.json()["id"], seconds=600)
        if task["status"] != "completed":
            raise RuntimeError(f"{kind}: {self._stack.log(task['id']).decode()[-300:]}")
        return task

    def _store(self, path: Path, size_bytes: int, sha256: str) -> str:
        """Bring a file to the server and return its id."""
        facts = {"name": path.name, "size_bytes": size_bytes, "sha256": sha256}
        file_id = str(self._stack.post("/api/v1/files/", facts).json()["id"])
        with path.open("rb") as file:
            for offset in range(0, size_bytes, MAX_CHUNK_BYTES):
                chunk = file.read(MAX_CHUNK_BYTES)
                headers = {
                    **self._stack.credentials,
                    CHUNK_DIGEST_HEADER: hashlib.sha256(chunk).hexdigest(),
                    "Content-Type": "application/octet-stream",
                }
                url = f"{self._stack.url}/api/v1/files/{file_id}/content/?offset={offset}"
                requests.put(url, data=chunk, headers=headers, timeout=60).raise_for_status()
        return file_id


def _made(path: Path, size_bytes: int) -> str:
    """Write a file that does not compress and return its digest."""
    chance, digest = random.Random(7), hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size_bytes, _PIECE_BYTES):
            piece = chance.randbytes(min(_PIECE_BYTES, size_bytes - start))
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seconds_of(task: dict[str, Any]) -> float:
    """Return how long a task ran, its process's start included."""
    began, ended = (datetime.fromisoformat(task[name]) for name in ("start_time", "end_time"))
    return (ended - began).total_seconds()
