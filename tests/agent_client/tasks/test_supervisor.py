"""Tasks from acceptance to the end record, through a real zygote."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from agent_client.sub_agent.records import FileSystem
from agent_client.tasks import supervisor
from agent_client.tasks.taskdir import TaskDirectory
from tests.agent_client.sub_agent.processes import living_with
from tests.agent_client.tasks.conftest import log_of, spec


class FullDisk(FileSystem):
    """A file system that takes nothing."""

    def write(self, path, data, *, mode=0o600, sync=True):
        raise OSError(28, "No space left on device")


async def test_states_are_reported_in_order_when_a_task_runs(host):
    task = await host.run(script="echo hello; exit 3")
    assert [state for _, state in host.changes] == ["claimed", "running", "finished"]
    assert (task.exit.reason, task.exit.exit_code) == ("exit", 3)
    assert log_of(task.directory) == b"hello\n"


async def test_identity_is_known_when_the_script_runs(host):
    task = await host.launch(script="echo begin; sleep 60; true")
    await host.until_log(task, b"begin")
    assert task.identity.is_alive()
    assert task.identity.pid in living_with(host.mark)


async def test_eight_tasks_run_at_once(host):
    tasks = await asyncio.gather(
        *(host.launch(number, script=f"exit {number}") for number in range(1, 9))
    )
    await host.until(lambda: all(task.state == "finished" for task in tasks))
    assert [task.exit.exit_code for task in tasks] == list(range(1, 9))
    assert len(host.supervisor.spawn_seconds) == 8
    assert 0 < host.supervisor.spawn_seconds.percentile(0.5) < 60


async def test_start_failure_is_an_end_when_the_script_cannot_run(host):
    task = await host.run(script="true", working_dir="/nowhere")
    assert task.exit.reason == "start_failed"
    assert "does not exist" in task.exit.detail
    assert len(host.supervisor.spawn_seconds) == 0


async def test_same_offer_is_held_once_when_it_is_delivered_twice(host):
    first = host.supervisor.accept(spec(5, script="echo first"))
    assert host.supervisor.accept(spec(5, script="echo second")) is first
    assert len(host.supervisor.tasks()) == 1


async def test_new_offer_of_a_task_is_another_task(host):
    host.supervisor.accept(spec(5, offer=1))
    host.supervisor.accept(spec(5, offer=2))
    assert set(host.supervisor.tasks()) == {(5, 1), (5, 2)}


async def test_script_starts_once_when_go_is_repeated(host):
    task = await host.launch(script="echo once; sleep 0.1")
    await host.supervisor.launch(task.key, cpu_ids=(), gpu_ids=())
    await host.until(lambda: task.state == "finished")
    await host.supervisor.launch(task.key, cpu_ids=(), gpu_ids=())
    assert log_of(task.directory) == b"once\n"


async def test_nothing_is_held_when_the_disk_refuses_the_spec(make_host, tmp_path):
    host = await make_host(file_system=FullDisk())
    with pytest.raises(OSError, match="No space"):
        host.supervisor.accept(spec())
    assert host.supervisor.tasks() == {}
    assert list((tmp_path / "state/tasks").iterdir()) == []


def no_space(*_):
    raise OSError(28, "No space left on device")


async def test_task_ends_when_the_disk_refuses_even_its_claim(host, monkeypatch):
    task = host.supervisor.accept(spec())
    monkeypatch.setattr(TaskDirectory, "store_order", lambda *_, **__: no_space())
    monkeypatch.setattr(TaskDirectory, "abandon", no_space)
    await host.supervisor.launch(task.key, cpu_ids=(), gpu_ids=())
    assert (task.state, task.exit.reason) == ("finished", "start_failed")


async def test_unclear_start_is_settled_when_the_disk_takes_a_claim_again(host, monkeypatch):
    """Until then nobody may say that the task has not begun."""
    task = host.supervisor.accept(spec())
    task.directory.store_order(environment={}, cpu_ids=(), gpu_ids=())
    monkeypatch.setattr(supervisor, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(TaskDirectory, "abandon", no_space)
    task.state = "claimed"
    host.supervisor._settle_later(task)
    await asyncio.sleep(0.1)
    assert task.state == "claimed"
    monkeypatch.undo()
    await host.until(lambda: task.state == "finished")


@pytest.mark.parametrize("installation", ["", "../up", "a/b", ".", ".hidden", "x" * 65])
async def test_unsafe_installation_is_refused(host, installation):
    with pytest.raises(ValueError, match="installation"):
        host.supervisor.accept(spec(installation=installation))


async def test_task_is_canceled_with_all_its_processes(host):
    script = "trap '' TERM; (setsid sleep 60 &); echo ready; while :; do sleep 1; done"
    task = await host.launch(script=script)
    await host.until_log(task, b"ready")
    host.supervisor.stop_task(task.key, reason="user_cancel", grace_seconds=0.1)
    host.supervisor.stop_task(task.key, reason="user_cancel", grace_seconds=0.1)
    await host.until(lambda: task.state == "finished")
    assert task.exit.reason == "user_cancel"
    assert living_with(host.mark) == []


async def test_stop_is_not_lost_when_it_comes_during_the_start(host):
    task = host.supervisor.accept(spec(script="sleep 60"))
    launching = asyncio.ensure_future(host.supervisor.launch(task.key, cpu_ids=(), gpu_ids=()))
    await host.until(lambda: task.state == "claimed")
    host.supervisor.stop_task(task.key, reason="user_cancel", grace_seconds=5)
    await launching
    await host.until(lambda: task.state == "finished")
    assert task.exit.reason == "user_cancel"


async def test_stop_of_an_unknown_task_is_no_error(host):
    host.supervisor.stop_task((99, 1), reason="user_cancel", grace_seconds=1)


async def test_directory_is_gone_when_a_finished_task_is_forgotten(host, tmp_path):
    task = await host.run(script="echo data > file")
    host.supervisor.forget(task.key)
    assert host.supervisor.tasks() == {}
    assert not task.directory.path.exists()


async def test_running_task_cannot_be_forgotten(host):
    task = await host.launch(script="sleep 60")
    with pytest.raises(ValueError, match="cannot be forgotten"):
        host.supervisor.forget(task.key)


async def test_accepted_task_can_be_forgotten_when_it_is_revoked(host):
    task = host.supervisor.accept(spec())
    host.supervisor.forget(task.key)
    assert not task.directory.path.exists()


async def test_socket_is_reached_when_the_state_directory_is_deep(tmp_path, make_host):
    deep = tmp_path / ("d" * 120) / "here-1-1"
    directory = TaskDirectory(deep, file_system=FileSystem())
    directory.store_spec(spec())
    assert not directory.request_stop(reason="user_cancel", grace_seconds=1)


async def test_task_is_flagged_when_its_processes_cannot_be_killed(host):
    task = await host.launch(script="sleep 60")
    await host.until(lambda: task.state == "running")
    (task.directory.path / "unkillable").touch()
    host.supervisor._hinted(task.directory.name)
    host.supervisor._hinted(task.directory.name)
    assert task.unkillable
    assert [state for _, state in host.changes] == ["claimed", "running", "running"]


async def test_start_is_noticed_when_its_hint_got_lost(host, monkeypatch):
    monkeypatch.setattr(host.supervisor._hints, "_on_hint", lambda name: None)
    monkeypatch.setattr(supervisor, "HEAL_SECONDS", 0.05)
    task = await host.launch(script="sleep 60")
    await host.until(lambda: task.state == "running")
    assert task.identity.is_alive()


async def test_unread_output_is_kept_when_a_sub_agent_is_killed(host):
    script = "echo begin; until [ -e go ]; do sleep 0.01; done; echo late; touch done; sleep 60"
    task = await host.launch(script=script)
    await host.until_log(task, b"begin")
    sub_agent = task.directory.claim().pid
    os.kill(sub_agent, signal.SIGSTOP)
    work = task.directory.path / "work"
    (work / "go").touch()
    async with asyncio.timeout(10):
        while not (work / "done").exists():
            await asyncio.sleep(0.005)
    os.kill(sub_agent, signal.SIGKILL)
    await host.until(lambda: task.state == "finished")
    assert log_of(task.directory) == b"begin\nlate\n"
    assert task.exit.log_bytes == len(b"begin\nlate\n")


async def test_processes_of_a_killed_sub_agent_are_ended(host):
    script = "echo begin; (setsid sleep 60 &); sleep 60"
    task = await host.launch(script=script)
    await host.until_log(task, b"begin")
    sub_agent = task.directory.claim().pid
    os.kill(sub_agent, 9)
    await host.until(lambda: task.state == "finished")
    assert task.exit.reason == "supervisor_lost"
    assert task.exit.log_bytes == len(b"begin\n")
    assert living_with(host.mark) == []
