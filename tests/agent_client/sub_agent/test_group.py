"""The control group of a task: made where the host allows it, never in the way where not."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from agent_client.sub_agent import group
from agent_client.sub_agent.group import Group, make_group
from agent_client.sub_agent.records import FileSystem
from agent_client.tasks import loss
from agent_client.tasks.taskdir import TaskDirectory
from tests.agent_client.sub_agent.processes import living_with, until
from tests.agent_client.sub_agent.test_stopping import digits, request_stop

ESCAPE = """
env -i setsid sh -c 'sleep 621.{mark} & exec sleep 622.{mark}' & disown
echo ready
exec sleep 60
"""


def hierarchy(root: Path, *, version: int) -> Path:
    """Make what a host shows, with our own group `/unit`; returns the memberships file."""
    memberships = root / "memberships"
    if version == 2:
        (root / "unit").mkdir()
        (root / "cgroup.controllers").write_text("memory pids")
        memberships.write_text("0::/unit\n")
    else:
        for controller in ("memory", "pids"):
            (root / controller / "unit").mkdir(parents=True)
        memberships.write_text("4:memory:/unit\n8:pids:/unit\n1:name=systemd:/\n")
    return memberships


def made(root: Path, *, version: int = 2, **limits: int) -> Group:
    memberships = hierarchy(root, version=version)
    return make_group("/state/here-1-1", memberships=str(memberships), root=str(root), **limits)


def test_group_is_made_inside_our_own(tmp_path):
    (directory,) = made(tmp_path).directories
    assert Path(directory).parent == tmp_path / "unit"


def test_tasks_of_two_state_directories_have_groups_of_their_own(tmp_path):
    memberships = hierarchy(tmp_path, version=2)
    found = {
        make_group(path, memberships=str(memberships), root=str(tmp_path)).directories
        for path in ("/a/here-1-1", "/b/here-1-1")
    }
    assert len(found) == 2


def test_version_1_is_used_for_limits_only(tmp_path):
    assert made(tmp_path, version=1).directories == ()


def test_limit_that_no_hierarchy_takes_is_not_claimed(tmp_path):
    # The files of a fake hierarchy are not there, as where a controller is not delegated.
    found = made(tmp_path, memory_mb=10, processes=5)
    assert (len(found.directories), found.limited) == (1, frozenset())


def test_group_of_a_former_life_is_used_again(tmp_path):
    memberships = hierarchy(tmp_path, version=2)
    first, second = (
        make_group("/state/x", memberships=str(memberships), root=str(tmp_path)) for _ in "12"
    )
    assert first == second


@pytest.mark.parametrize("text", ["", "nonsense\n", "0::/missing\n", "7:memory:/missing\n"])
def test_host_without_usable_groups_is_a_normal_host(tmp_path, text):
    memberships = tmp_path / "memberships"
    memberships.write_text(text)
    found = make_group("/x", memberships=str(memberships), root=str(tmp_path), memory_mb=1)
    assert found == Group()


def test_group_of_nothing_does_nothing():
    nothing = Group()
    nothing.join()
    nothing.kill()
    nothing.remove()
    assert (nothing.pids(), nothing.oom_kills()) == (set(), None)


def test_out_of_memory_kills_are_counted_in_either_version(tmp_path):
    for name in ("memory.events", "memory.oom_control"):
        (tmp_path / name).write_text("low 0\noom 2\noom_kill 3\n")
        assert Group((str(tmp_path),)).oom_kills() == 3
        (tmp_path / name).unlink()


@pytest.fixture
def real(mark) -> Group:
    """A real group of this host, gone at the end."""
    found = make_group(f"/nowhere/{mark}", memory_mb=64, processes=20)
    if not found.directories:
        pytest.skip("no control group can be made here: run as root or with Delegate=yes")
    yield found
    found.kill()
    until(lambda: not found.pids())
    found.remove()
    assert not any(Path(directory).exists() for directory in found.directories)


def test_everything_in_the_group_is_killed_whatever_it_calls_itself(real, mark):
    process = subprocess.Popen(
        ["sh", "-c", "(env -i setsid sleep 60 &); exec sleep 60"], preexec_fn=real.join
    )
    until(lambda: len(real.pids()) >= 2)
    real.kill()
    assert process.wait(10) == -signal.SIGKILL
    until(lambda: not real.pids())


def test_limits_of_the_group_are_the_kernels(real):
    if not real.limited:
        pytest.skip("the controllers of memory and pids are not ours here")
    text = "".join(
        file.read_text()
        for directory in real.directories
        for name in ("memory.max", "memory.limit_in_bytes", "pids.max")
        if (file := Path(directory, name)).exists()
    )
    assert str(64 * 1024 * 1024) in text
    assert "20" in text.splitlines()


def test_what_escaped_a_dead_sub_agent_is_named_by_its_group(start_task, mark):
    """The process has left session, tree and environment: only the group knows it."""
    number = digits(mark)
    task = start_task(ESCAPE.format(mark=number))
    task.until_output(b"ready")
    groups = Group(tuple(task.record("run.json")["groups"]))
    if not groups.directories:
        pytest.skip("no control group can be made here: run as root or with Delegate=yes")
    until(lambda: len(living_with(number)) >= 2)
    task.process.kill()
    task.process.wait()
    assert set(living_with(number)) <= groups.pids()
    directory = TaskDirectory(task.path, file_system=FileSystem())
    until(loss.LostTree(directory, None).kill_round)
    assert living_with(number) == []
    assert not any(Path(one).exists() for one in groups.directories)


def test_group_is_gone_after_the_end(start_task):
    task = start_task("exec sleep 60")
    until(lambda: (task.path / "run.json").exists())
    request_stop(task, grace_seconds=0)
    task.end()
    assert not any(Path(one).exists() for one in task.record("run.json")["groups"])


def test_task_beyond_its_memory_ends_as_out_of_memory(start_task):
    eats = "x = bytearray(200_000_000); print(len(x))"
    task = start_task(eats, script_type="python", limits={"memory_mb": 40})
    end = task.end()
    assert end["exit_code"] != 0
    # With a group the kernel kills; without one Python itself gets a MemoryError.
    expected = ("out_of_memory", b"") if end["signal"] else ("exit", b"MemoryError\n")
    assert (end["reason"], task.log()[-12:]) == expected


def test_task_cannot_make_more_processes_than_its_limit(start_task):
    task = start_task(
        "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait", limits={"processes": 4}
    )
    end = task.end()
    if end["reason"] == "start_failed":
        assert "writable control group" in end["detail"]
    else:
        assert b"fork" in task.log()


def test_module_works_without_the_file_system_of_groups(monkeypatch):
    monkeypatch.setattr(group, "_MEMBERSHIPS", "/nowhere")
    assert make_group("/x", memberships="/nowhere", root="/nowhere") == Group()
