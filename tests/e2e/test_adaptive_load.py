"""A host under a real load takes half of its tasks, and all of them again when it is over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.stack import PASSWORD, Stack, running_stack, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("adaptive load")]

SLOTS = 8
SETTINGS = {
    "AGENT_TASK_MAX_CONCURRENT_TASKS": str(SLOTS),
    "AGENT_RESOURCE_ADAPTIVE_ENABLED": "true",
    "AGENT_RESOURCE_ADAPTIVE_SAMPLE_INTERVAL_SEC": "0.5",
    # Long enough that all held back tasks are offered before other tests load the host again.
    "AGENT_RESOURCE_ADAPTIVE_COOLDOWN_SEC": "5",
    "AGENT_RESOURCE_ADAPTIVE_STEP": "0.5",
    "AGENT_RESOURCE_ADAPTIVE_MIN_FACTOR": "0.5",
    # The stress leaves no core idle for a tick; anything else that runs here does, at times.
    "AGENT_RESOURCE_ADAPTIVE_CPU_HIGH": "99.6",
    "AGENT_RESOURCE_ADAPTIVE_CPU_LOW": "99.5",
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


def resources_of(stack: Stack, agent_id: str) -> dict[str, Any]:
    """Return the host's last sample as the API shows it."""
    return dict(stack.get(f"/api/v1/agents/{agent_id}/").json()["resources"])


def allowed(stack: Stack, agent_id: str) -> int:
    """Return how many tasks at once the host allows itself."""
    return int(resources_of(stack, agent_id).get("slots_allowed") or 0)


def page_of(stack: Stack, agent_id: str) -> str:
    """Return the host's page as the administrator reads it."""
    with requests.Session() as browser:
        login = f"{stack.url}/accounts/login/"
        text = browser.get(login, timeout=30).text
        token = text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token}
        browser.post(login, data=form, timeout=30).raise_for_status()
        return browser.get(f"{stack.url}/agents/{agent_id}/", timeout=30).text


def statuses(stack: Stack, ids: list[int]) -> list[str]:
    return [stack.task(task_id)["status"] for task_id in ids]


def test_loaded_host_halves_its_tasks_and_recovers(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        agent_id = stack.start_agent("host1", **SETTINGS)
        with busy_host():
            wait_for(lambda: allowed(stack, agent_id) == SLOTS // 2, seconds=60)
            found = resources_of(stack, agent_id)
            assert (found["adaptive_factor"], found["adaptive_cause"]) == (0.5, "cpu")
            page = page_of(stack, agent_id)
            assert "Its CPU is busy: × 0.5 of its limits" in page
            assert f"{SLOTS // 2} tasks at once instead of {SLOTS}" in page
            script = f"while [ ! -e {stack.directory / 'go'} ]; do sleep 0.2; done"
            ids = [stack.submit(script) for _ in range(SLOTS)]
            half = SLOTS // 2
            wait_for(lambda: statuses(stack, ids).count("running") == half, seconds=60)
            # Each of the others has been offered or passed over by now: it is held back.
            probe = stack.submit("true", priority=5)
            assert statuses(stack, ids).count("running") == SLOTS // 2
            assert stack.task(probe)["status"] == "waiting"
        wait_for(lambda: allowed(stack, agent_id) == SLOTS, seconds=RECOVERY_SECONDS)
        wait_for(lambda: statuses(stack, ids).count("running") == SLOTS, seconds=RECOVERY_SECONDS)
        (stack.directory / "go").touch()
        assert stack.wait_final(probe)["status"] == "completed"
        assert "limits adapted" in stack.log_of_agent()
