"""A host under a real load takes half of its tasks, and all of them again when it is over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, running_stack, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("adaptive load")]

SLOTS = 8
SETTINGS = {
    "AGENT_TASK_MAX_CONCURRENT_TASKS": str(SLOTS),
    "AGENT_RESOURCE_ADAPTIVE_ENABLED": "true",
    "AGENT_RESOURCE_ADAPTIVE_SAMPLE_INTERVAL_SEC": "1",
    "AGENT_RESOURCE_ADAPTIVE_COOLDOWN_SEC": "2",
    "AGENT_RESOURCE_ADAPTIVE_STEP": "0.25",
    "AGENT_RESOURCE_ADAPTIVE_MIN_FACTOR": "0.5",
    "AGENT_RESOURCE_ADAPTIVE_CPU_HIGH": "95",
    "AGENT_RESOURCE_ADAPTIVE_CPU_LOW": "90",
    # The load average takes minutes to fall, and other tests add to it: the CPU decides here.
    "AGENT_RESOURCE_ADAPTIVE_LOAD_HIGH_FACTOR": "1000",
    "AGENT_RESOURCE_ADAPTIVE_LOAD_LOW_FACTOR": "999",
}
RECOVERY_SECONDS = 180
"""Long, because other tests keep the cores busy, too."""


@contextmanager
def busy_host() -> Iterator[None]:
    """Keep every core of this host busy, twice over."""
    count = 2 * (os.cpu_count() or 1)
    if shutil.which("stress-ng"):
        commands = [["stress-ng", "--cpu", str(count), "--quiet"]]
    else:
        commands = [[sys.executable, "-c", "while True: pass"]] * count
    stressors = [subprocess.Popen(command) for command in commands]
    try:
        yield
    finally:
        for one in stressors:
            one.terminate()
            one.wait()


def factor(state: Path) -> float:
    """Return the share of its limits that the agent uses."""
    return float(json.loads((state / "limits.json").read_text())["factor"])


def statuses(stack: Stack, ids: list[int]) -> list[str]:
    return [stack.task(task_id)["status"] for task_id in ids]


def test_loaded_host_halves_its_tasks_and_recovers(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        stack.start_agent("host1", **SETTINGS)
        state = stack.directory / "agent-host1"
        with busy_host():
            wait_for(lambda: factor(state) == 0.5, seconds=60)
            script = f"while [ ! -e {stack.directory / 'go'} ]; do sleep 0.2; done"
            ids = [stack.submit(script) for _ in range(SLOTS)]
            wait_for(lambda: statuses(stack, ids).count("running") == SLOTS // 2)
            # Each of the others has been offered or passed over by now: it is held back.
            probe = stack.submit("true", priority=5)
            assert statuses(stack, ids).count("running") == SLOTS // 2
            assert stack.task(probe)["status"] == "waiting"
        wait_for(lambda: statuses(stack, ids).count("running") == SLOTS, seconds=RECOVERY_SECONDS)
        assert factor(state) == 1.0
        (stack.directory / "go").touch()
        assert stack.wait_final(probe)["status"] == "completed"
        assert "limits adapted" in stack.output_of("agent-host1")
