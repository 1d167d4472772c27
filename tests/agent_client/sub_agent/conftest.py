"""A real sub-agent, started as a plain process on a task directory."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_client import sub_agent
from agent_client.protocol import frames
from tests.agent_client.sub_agent.processes import living_with, until

PROGRAM = Path(sub_agent.__file__).parent / "__main__.py"


class Task:
    """One task directory and the sub-agent process that owns it."""

    def __init__(self, path: Path, spec: dict[str, Any], order: dict[str, Any]) -> None:
        self.path = path
        path.mkdir()
        (path / "spec.json").write_text(json.dumps(spec))
        (path / "go").write_text(json.dumps(order))
        command = [sys.executable, "-I", "-S", str(PROGRAM), str(path)]
        self.process = subprocess.Popen(command)

    def record(self, name: str) -> dict[str, Any]:
        """Return one record as an object."""
        return json.loads((self.path / name).read_text())

    def end(self) -> dict[str, Any]:
        """Wait for the sub-agent and return its end record."""
        assert self.process.wait(30) == 0
        return self.record("exit.json")

    def until_output(self, text: bytes) -> None:
        """Wait until the script has written something."""
        until(lambda: (self.path / "output").exists() and text in self.log())

    def frames(self) -> list[frames.Frame]:
        """Return the whole frames written so far."""
        data = (self.path / "output").read_bytes()
        return list(frames.decode(data[: frames.whole_length(data)]))

    def log(self, stream: int | None = None) -> bytes:
        """Return the payload of one stream, or of both in order."""
        return b"".join(f.payload for f in self.frames() if stream in (None, f.stream))


StartTask = Callable[..., Task]


@pytest.fixture
def mark() -> str:
    """Return a text by which the processes of this test are known."""
    return uuid.uuid4().hex


@pytest.fixture
def start_task(tmp_path: Path, mark: str) -> Iterator[StartTask]:
    """Start a script beside a sub-agent; at the end nothing of it may be left."""
    started: list[Task] = []

    def start(script: str, *, order: dict[str, Any] | None = None, **spec: Any) -> Task:
        number = len(started) + 1
        whole = {"task_id": number, "offer": 1, "installation": "here", "name": "a test"}
        whole |= {"script_type": "shell", "script_content": script, "env": {"MARK": mark}} | spec
        started.append(Task(tmp_path / f"here-{number}-1", whole, order or {}))
        return started[-1]

    yield start
    for task in started:
        task.process.kill()
        task.process.wait()
    for pid in living_with(mark):
        subprocess.run(["kill", "-9", str(pid)], check=False)
