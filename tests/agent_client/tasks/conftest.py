"""A real supervisor with its zygote on a state directory of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent_client.protocol import frames
from agent_client.protocol.messages import TaskSpec
from agent_client.tasks.supervisor import LocalTask, Supervisor
from agent_client.tasks.taskdir import TaskDirectory, TaskKey
from tests.agent_client.sub_agent.processes import living_with

INSTALLATION = "here"


def spec(task_id: int = 1, *, script: str = "true", offer: int = 1, **more: Any) -> TaskSpec:
    """Return a spec of a shell script."""
    given = {"installation": INSTALLATION, "name": "a test", "script_type": "shell"} | more
    return TaskSpec(task_id=task_id, offer=offer, script_content=script, **given)


def log_of(directory: TaskDirectory) -> bytes:
    """Return the merged log written so far."""
    data = directory.output.read_bytes() if directory.output.exists() else b""
    whole = data[: frames.whole_length(data)]
    return b"".join(frame.payload for frame in frames.decode(whole))


class Host:
    """A supervisor and everything it reported."""

    def __init__(self, state_dir: Path, mark: str, **options: Any) -> None:
        self.mark = mark
        self.changes: list[tuple[TaskKey, str]] = []
        self._changed = asyncio.Condition()
        self._state_dir = state_dir
        self._pending: set[asyncio.Task[None]] = set()
        self.supervisor = Supervisor(
            state_dir=state_dir,
            installation=INSTALLATION,
            on_change=self._on_change,
            logger=logging.getLogger("test"),
            login_environment={"PATH": os.environ["PATH"], "MARK": mark},
            **options,
        )

    def _on_change(self, task: LocalTask) -> None:
        self.changes.append((task.key, task.state))
        job = asyncio.ensure_future(self._notify())
        self._pending.add(job)
        job.add_done_callback(self._pending.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], object], *, seconds: float = 15.0) -> None:
        """Wait for a condition that a change brings about."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def until_log(self, task: LocalTask, text: bytes) -> None:
        """Wait until a script has written something."""
        async with asyncio.timeout(15):
            while text not in log_of(task.directory):
                await asyncio.sleep(0.005)

    async def launch(self, task_id: int = 1, **more: Any) -> LocalTask:
        """Accept and start a script."""
        task = self.supervisor.accept(spec(task_id, **more))
        await self.supervisor.launch(task.key, cpu_ids=(), gpu_ids=())
        return task

    async def run(self, task_id: int = 1, **more: Any) -> LocalTask:
        """Accept and start a script and wait for its end."""
        task = await self.launch(task_id, **more)
        await self.until(lambda: task.state == "finished")
        return task


MakeHost = Callable[..., Any]


@pytest.fixture
def mark() -> str:
    """Return a text by which the processes of this test are known."""
    return uuid.uuid4().hex


@pytest.fixture
async def make_host(tmp_path: Path, mark: str) -> AsyncIterator[MakeHost]:
    """Make a host that is closed, and cleared of its processes, at the end."""
    hosts: list[Host] = []

    async def make(**options: Any) -> Host:
        hosts.append(Host(tmp_path / "state", mark, **options))
        await hosts[-1].supervisor.start()
        return hosts[-1]

    yield make
    for host in hosts:
        await host.supervisor.close()
    for pid in living_with(mark):
        subprocess.run(["kill", "-9", str(pid)], check=False)


@pytest.fixture
async def host(make_host: MakeHost) -> Host:
    """Return a started host."""
    return await make_host()
