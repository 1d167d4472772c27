"""A host changes the version of its agent at the server's word; a bad version is taken back."""

from __future__ import annotations

import pytest

from tests.e2e.installed import (
    home_of,
    host_of,
    installed_host,
    make_release,
    upgrade,
)
from tests.e2e.stack import Stack, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("installing"),
    pytest.mark.timeout(900),  # two environments are built by pip
]

TASKS = 20
SLOTS = {"AGENT_TASK_MAX_CONCURRENT_TASKS": str(TASKS)}
# Writes before, during and after the change of versions; ends only when it is told to.
SCRIPT = """
for i in $(seq 1 100); do echo "line $i"; sleep 0.05; done
while [ ! -e {go} ]; do sleep 0.1; done
for i in $(seq 101 200); do echo "line $i"; done
"""
EXPECTED = "".join(f"line {n}\n" for n in range(1, 201)).encode()
CHANGE_SECONDS = 240


def running_tasks(stack: Stack) -> list[int]:
    """Return tasks that run until `finish` is called."""
    script = SCRIPT.format(go=stack.directory / "go")
    ids = [stack.submit(script) for _ in range(TASKS)]
    for task_id in ids:
        stack.wait_status(task_id, "running")
    return ids


def finish(stack: Stack, ids: list[int]) -> None:
    """Let the tasks end, and check that nothing of them was lost."""
    assert {stack.task(task_id)["status"] for task_id in ids} == {"running"}
    (stack.directory / "go").touch()
    for task_id in ids:
        assert stack.wait_final(task_id, seconds=60)["status"] == "completed"
        assert stack.log(task_id) == EXPECTED


def test_tasks_go_on_while_the_server_upgrades_the_agent(own_stack: Stack) -> None:
    host = installed_host(own_stack, "box", **SLOTS)
    former = host_of(own_stack, host)["version"]
    release = make_release(own_stack, "99.0.1")
    ids = running_tasks(own_stack)
    process = (home_of(own_stack, "box") / ".dialer-agent/agent.lock").read_text()
    upgrade(own_stack, host, release)
    wait_for(lambda: host_of(own_stack, host)["version"] == "99.0.1", seconds=CHANGE_SECONDS)
    assert former != "99.0.1"
    home = home_of(own_stack, "box") / ".dialer-agent"
    # A service manager sees one process all the time.
    assert (home / "agent.lock").read_text() == process
    wait_for(lambda: not (home / "trial").exists())
    finish(own_stack, ids)
    assert not host_of(own_stack, host)["release"]["is_changing"]


@pytest.mark.parametrize(
    ("first_line", "reason"),
    [
        ("import posix; posix._exit(1)", "started 3 times"),
        ("import time; options.server = 'http://127.0.0.1:9'", "did not welcome it within 8 s"),
    ],
    ids=["ends at its start", "never reaches the server"],
)
def test_bad_version_is_taken_back_and_tasks_go_on(
    own_stack: Stack, first_line: str, reason: str
) -> None:
    host = installed_host(own_stack, "box", DIALER_AGENT_TRIAL_SECONDS="8", **SLOTS)
    former = host_of(own_stack, host)
    ids = running_tasks(own_stack)
    upgrade(own_stack, host, make_release(own_stack, "99.0.2", first_line=first_line))
    wait_for(lambda: host_of(own_stack, host)["release"]["failed_code"], seconds=CHANGE_SECONDS)
    found = host_of(own_stack, host)
    assert found["release"]["failed_code"] == "upgrade_taken_back"
    assert reason in found["release"]["failed_detail"]
    assert (found["version"], found["status"]) == (former["version"], "online")
    finish(own_stack, ids)


def test_rollout_halts_at_the_host_where_the_version_breaks(own_stack: Stack) -> None:
    names = ("a", "b")
    breaks = {"b": {"BREAKS_HERE": "1"}}
    hosts = {
        name: installed_host(
            own_stack, name, DIALER_AGENT_TRIAL_SECONDS="60", **breaks.get(name, {})
        )
        for name in names
    }
    former = host_of(own_stack, hosts["a"])["version"]
    make_release(
        own_stack,
        "99.0.3",
        first_line="import posix; b'BREAKS_HERE' in posix.environ and posix._exit(1)",
    )
    order = {"version": "99.0.3", "stages": ["1", "2"], "soak_seconds": 1}
    answer = own_stack.post("/api/v1/agents/rollouts/", order)
    assert answer.status_code == 201, answer.text
    rollout = f"/api/v1/agents/rollouts/{answer.json()['id']}/"
    wait_for(lambda: own_stack.get(rollout).json()["state"] != "running", seconds=CHANGE_SECONDS)
    halted = own_stack.get(rollout).json()
    assert (halted["state"], halted["reason"].partition(":")[0]) == ("halted", "b"), halted
    versions = {name: host_of(own_stack, hosts[name])["version"] for name in names}
    assert versions == {"a": "99.0.3", "b": former}
    assert own_stack.post(f"{rollout}roll-back/", {}).status_code == 200
    wait_for(lambda: host_of(own_stack, hosts["a"])["version"] == former, seconds=CHANGE_SECONDS)
