"""The main agent may be killed at any moment: every task is found again, started once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_client.sub_agent.records import FileSystem
from agent_client.tasks.taskdir import ExitRecord, TaskDirectory, directory_name
from tests.agent_client.sub_agent.processes import living_with, until
from tests.agent_client.tasks.conftest import log_of, spec

TASKS = 20
SCRIPT = """
for i in $(seq 1 40); do echo line $i; sleep 0.01; done
until [ -e ../../../go ]; do sleep 0.02; done
for i in $(seq 41 80); do echo line $i; done; exit 5
"""
AGENT = """
import asyncio, sys
from pathlib import Path
from tests.agent_client.tasks.conftest import Host
async def main():
    host = Host(Path(sys.argv[1]), sys.argv[2])
    await host.supervisor.start()
    tasks = [await host.launch(n, script=sys.argv[4]) for n in range(1, int(sys.argv[3]) + 1)]
    await host.until(lambda: all(t.state == "running" for t in tasks))
    print(host.supervisor._starter.zygote_pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def killed_agent(state_dir: Path, mark: str, *, tasks: int, script: str, zygote: bool) -> None:
    """Run an agent that starts tasks, and kill it when they run."""
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, state_dir, mark, str(tasks), script],
        stdout=subprocess.PIPE,
    )
    zygote_pid = int(agent.stdout.readline())
    agent.kill()
    if zygote:
        os.kill(zygote_pid, signal.SIGKILL)
    agent.wait()
    agent.stdout.close()


def stored(state_dir: Path, task_id: int = 1, **more) -> TaskDirectory:
    """Return a directory as an agent leaves it after accepting a task."""
    task_spec = spec(task_id, **more)
    path = state_dir / "tasks" / directory_name(task_spec)
    directory = TaskDirectory(path, file_system=FileSystem())
    directory.store_spec(task_spec)
    return directory


def ordered(state_dir: Path, mark: str) -> TaskDirectory:
    """Return a directory whose start was ordered, and nothing more."""
    directory = stored(state_dir, script="echo no")
    environment = {"PATH": os.environ["PATH"], "MARK": mark}
    directory.store_order(environment=environment, cpu_ids=(), gpu_ids=())
    return directory


@pytest.fixture
def state_dir(tmp_path) -> Path:
    """Return the state directory that make_host uses."""
    return tmp_path / "state"


@pytest.mark.parametrize("zygote", [False, True], ids=["agent", "agent and zygote"])
async def test_all_tasks_are_adopted_when_the_agent_is_killed(make_host, state_dir, mark, zygote):
    killed_agent(state_dir, mark, tasks=TASKS, script=SCRIPT, zygote=zygote)
    host = await make_host()
    tasks = list(host.supervisor.tasks().values())
    assert {task.state for task in tasks} == {"running"}
    assert len(host.supervisor.spawn_seconds) == 0  # a former agent started them
    (state_dir / "go").touch()
    await host.until(lambda: all(task.state == "finished" for task in tasks), seconds=30)
    expected = b"".join(b"line %d\n" % number for number in range(1, 81))
    assert [log_of(task.directory) for task in tasks] == [expected] * TASKS
    assert {(task.exit.reason, task.exit.exit_code) for task in tasks} == {("exit", 5)}


async def test_adopted_task_can_be_canceled(make_host, state_dir, mark):
    killed_agent(state_dir, mark, tasks=1, script="sleep 60", zygote=True)
    host = await make_host()
    host.supervisor.stop_task((1, 1), reason="user_cancel", grace_seconds=5)
    task = host.supervisor.tasks()[1, 1]
    await host.until(lambda: task.state == "finished")
    assert task.exit.reason == "user_cancel"
    assert living_with(mark) == []


async def test_processes_are_ended_when_the_sub_agent_died_meanwhile(make_host, state_dir, mark):
    killed_agent(state_dir, mark, tasks=1, script="setsid sleep 60 & sleep 60", zygote=True)
    directory = TaskDirectory(state_dir / "tasks/here-1-1", file_system=FileSystem())
    os.kill(directory.claim().pid, signal.SIGKILL)
    until(lambda: not directory.claim_is_held())
    host = await make_host()
    task = host.supervisor.tasks()[1, 1]
    await host.until(lambda: task.state == "finished")
    assert task.exit.reason == "supervisor_lost"
    assert living_with(mark) == []
    assert directory.exit() == task.exit


async def test_task_of_another_agent_is_spared_when_it_has_the_same_ids(
    make_host, state_dir, mark, tmp_path
):
    other = tmp_path / "other"
    killed_agent(other, mark, tasks=1, script="sleep 60", zygote=True)
    lost = ordered(state_dir, mark)
    host = await make_host()
    await host.until(lambda: lost.exit() is not None)
    neighbour = TaskDirectory(other / "tasks/here-1-1", file_system=FileSystem())
    assert neighbour.run().identity.is_alive()


async def test_end_is_found_when_the_task_finished_meanwhile(make_host, state_dir, mark):
    killed_agent(state_dir, mark, tasks=1, script="exit 7", zygote=False)
    until(lambda: (state_dir / "tasks/here-1-1/exit.json").exists())
    host = await make_host()
    await host.until(lambda: len(host.changes) == 2)
    assert host.changes == [((1, 1), "running"), ((1, 1), "finished")]
    assert host.supervisor.tasks()[1, 1].exit.exit_code == 7


async def test_accepted_task_waits_on_when_it_was_never_ordered(make_host, state_dir):
    stored(state_dir, script="echo later")
    host = await make_host()
    task = host.supervisor.tasks()[1, 1]
    assert task.state == "accepted"
    await host.supervisor.launch(task.key, cpu_ids=(), gpu_ids=())
    await host.until(lambda: task.state == "finished")
    assert log_of(task.directory) == b"later\n"


async def test_task_is_lost_when_the_agent_died_between_order_and_claim(make_host, state_dir, mark):
    directory = ordered(state_dir, mark)
    host = await make_host()
    task = host.supervisor.tasks()[1, 1]
    await host.until(lambda: task.state == "finished")
    assert task.exit.reason == "supervisor_lost"
    assert directory.claim().abandoned
    assert log_of(directory) == b""


async def test_task_is_lost_when_its_sub_agent_died_after_the_claim(make_host, state_dir, mark):
    directory = ordered(state_dir, mark)
    (directory.path / "claim").write_text('{"pid": 1, "start_time": 1, "boot_id": "x"}')
    host = await make_host()
    task = host.supervisor.tasks()[1, 1]
    await host.until(lambda: task.state == "finished")
    assert task.exit.reason == "supervisor_lost"


async def test_reboot_is_named_when_the_boot_changed(make_host, state_dir, mark):
    directory = ordered(state_dir, mark)
    (directory.path / "claim").write_text('{"pid": 1, "start_time": 1, "boot_id": "before"}')
    (directory.path / "run.json").write_text(
        '{"pid": 1, "start_time": 1, "boot_id": "before", "started_at": 1000.0}'
    )
    host = await make_host()
    task = host.supervisor.tasks()[1, 1]
    await host.until(lambda: task.state == "finished")
    assert task.exit.reason == "host_reboot"
    assert task.exit.started_at == 1000.0


async def test_recorded_end_stays_when_it_is_found_again(make_host, state_dir, mark):
    directory = ordered(state_dir, mark)
    directory.abandon()
    end = ExitRecord(reason="timeout", finished_at=5.0, signal=9)
    directory.store_exit(end)
    host = await make_host()
    task = host.supervisor.tasks()[1, 1]
    await host.until(lambda: task.state == "finished")
    assert task.exit == end


async def test_directory_without_spec_is_removed(make_host, state_dir):
    (state_dir / "tasks/here-3-1").mkdir(parents=True)
    host = await make_host()
    assert host.supervisor.tasks() == {}
    assert not (state_dir / "tasks/here-3-1").exists()


async def test_task_of_another_installation_is_left_alone(make_host, state_dir):
    directory = stored(state_dir, installation="there")
    host = await make_host()
    assert host.supervisor.tasks() == {}
    assert directory.spec() is not None


async def test_foreign_files_are_left_alone(make_host, state_dir):
    for name in ("README", "here-x-1", "-1-1"):
        path = state_dir / "tasks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    host = await make_host()
    assert host.supervisor.tasks() == {}
    assert len(list((state_dir / "tasks").iterdir())) == 3


async def gone(path):
    async with asyncio.timeout(5):
        while path.exists():
            await asyncio.sleep(0.01)


async def test_directories_of_forgotten_tasks_are_deleted_together(make_host, state_dir):
    host = await make_host()
    for number in range(1, 4):
        host.supervisor.forget((await host.run(number, script="echo data > file")).key)
    left = [path.name for path in (state_dir / "tasks").iterdir()]
    assert len(left) == 3 and all(name.startswith(".trash-here-") for name in left)
    for name in left:
        await gone(state_dir / "tasks" / name)


async def test_rubbish_of_an_interrupted_removal_is_cleared(make_host, state_dir):
    trash = state_dir / "tasks/.trash-here-1-1-5"
    trash.mkdir(parents=True)
    await make_host()
    await gone(trash)
