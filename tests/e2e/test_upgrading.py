"""A host changes the version of its agent at the server's word; a bad version is taken back.

The tests share two hosts, because pip builds an environment for each version on each of
them: each test brings a version of its own, and asks what ran before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installed import (
    home_of,
    host_of,
    installed_host,
    make_release,
    upgrade,
)
from tests.e2e.stack import Stack, running_stack, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("upgrading"),
    pytest.mark.timeout(900),
]

TASKS = 20
# Writes before, during and after the change of versions; ends only when it is told to.
SCRIPT = """
for i in $(seq 1 100); do echo "line $i"; sleep 0.05; done
while [ ! -e {go} ]; do sleep 0.1; done
for i in $(seq 101 200); do echo "line $i"; done
"""
EXPECTED = "".join(f"line {n}\n" for n in range(1, 201)).encode()
CHANGE_SECONDS = 240
TRIAL_SECONDS = "15"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One server for the tests of this module."""
    with running_stack(tmp_path_factory.mktemp("stack")) as installation:
        yield installation


@pytest.fixture(scope="module")
def host(stack: Stack) -> str:
    """Return the id of the host `box`, installed as a user would."""
    settings = {
        "AGENT_TASK_MAX_CONCURRENT_TASKS": str(TASKS),
        "DIALER_AGENT_TRIAL_SECONDS": TRIAL_SECONDS,
    }
    return installed_host(stack, "box", **settings)


def go_file(stack: Stack, version: str) -> str:
    """Return whose existence lets the tasks of a test end."""
    return str(stack.directory / f"go-{version}")


def running_tasks(stack: Stack, host: str, version: str) -> list[int]:
    """Return tasks that run until `finish` is called."""
    script = SCRIPT.format(go=go_file(stack, version))
    ids = [stack.submit(script, agent_id=host) for _ in range(TASKS)]
    for task_id in ids:
        stack.wait_status(task_id, "running")
    return ids


def finish(stack: Stack, ids: list[int], version: str) -> None:
    """Let the tasks end, and check that nothing of them was lost."""
    assert {stack.task(task_id)["status"] for task_id in ids} == {"running"}
    Path(go_file(stack, version)).touch()
    for task_id in ids:
        assert stack.wait_final(task_id, seconds=60)["status"] == "completed"
        assert stack.log(task_id) == EXPECTED


def test_tasks_go_on_while_the_server_upgrades_the_agent(stack: Stack, host: str) -> None:
    version = "99.0.1"
    release = make_release(stack, version)
    ids = running_tasks(stack, host, version)
    home = home_of(stack, "box") / ".dialer-agent"
    process = (home / "agent.lock").read_text()
    assert host_of(stack, host)["version"] != version
    upgrade(stack, host, release)
    wait_for(lambda: host_of(stack, host)["version"] == version, seconds=CHANGE_SECONDS)
    # A service manager sees one process all the time.
    assert (home / "agent.lock").read_text() == process
    wait_for(lambda: not (home / "trial").exists())
    finish(stack, ids, version)
    assert not host_of(stack, host)["release"]["is_changing"]


@pytest.mark.parametrize(
    ("version", "first_line", "reason"),
    [
        ("99.0.2", "import posix; posix._exit(1)", "started 3 times"),
        (
            "99.0.3",
            "import time; options.server = 'http://127.0.0.1:9'",
            f"did not welcome it within {TRIAL_SECONDS} s",
        ),
    ],
    ids=["ends at its start", "never reaches the server"],
)
def test_bad_version_is_taken_back_and_tasks_go_on(
    stack: Stack, host: str, version: str, first_line: str, reason: str
) -> None:
    former = host_of(stack, host)
    ids = running_tasks(stack, host, version)
    order = upgrade(stack, host, make_release(stack, version, first_line=first_line))
    assert order["release"]["failed_code"] == ""
    wait_for(lambda: host_of(stack, host)["release"]["failed_code"], seconds=CHANGE_SECONDS)
    found = host_of(stack, host)
    assert found["release"]["failed_code"] == "upgrade_taken_back"
    assert reason in found["release"]["failed_detail"]
    assert (found["version"], found["status"]) == (former["version"], "online")
    finish(stack, ids, version)


def test_rollout_halts_at_the_host_where_the_version_breaks(stack: Stack, host: str) -> None:
    version = "99.0.4"
    other = installed_host(stack, "other", BREAKS_HERE="1")
    hosts = {"box": host, "other": other}
    former = {name: host_of(stack, id)["version"] for name, id in hosts.items()}
    line = "import posix; b'BREAKS_HERE' in posix.environ and posix._exit(1)"
    make_release(stack, version, first_line=line)
    order = {"version": version, "stages": ["1", "2"], "soak_seconds": 1}
    answer = stack.post("/api/v1/agents/rollouts/", order)
    assert answer.status_code == 201, answer.text
    rollout = f"/api/v1/agents/rollouts/{answer.json()['id']}/"
    wait_for(lambda: stack.get(rollout).json()["state"] != "running", seconds=CHANGE_SECONDS)
    halted = stack.get(rollout).json()
    assert (halted["state"], halted["reason"].partition(":")[0]) == ("halted", "other"), halted
    versions = {name: host_of(stack, id)["version"] for name, id in hosts.items()}
    assert versions == {"box": version, "other": former["other"]}
    assert stack.post(f"{rollout}roll-back/", {}).status_code == 200
    wait_for(lambda: host_of(stack, host)["version"] == former["box"], seconds=CHANGE_SECONDS)
