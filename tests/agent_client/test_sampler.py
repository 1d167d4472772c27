"""Samples name the processes of each task and never stop the beats."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from agent_client.protocol.messages import Gpu, Resources
from agent_client.resource_util import TreeSample
from agent_client.sampler import Sampler, Watched
from agent_client.sub_agent.records import FileSystem
from agent_client.tasks.identity import ProcessIdentity
from agent_client.tasks.supervisor import LocalTask
from agent_client.tasks.taskdir import TaskDirectory
from tests.agent_client.fake_server import spec

KEY = (7, 1)


class FakeResources:
    """A host with two processes per tree and one GPU that pid 11 uses."""

    def __init__(self) -> None:
        self.failures = 0
        self.sampled = threading.Event()
        self.is_closed = False

    def sample_trees(self, pids) -> dict[int, TreeSample]:
        return {
            pid: TreeSample(pid, 50.0, 1000, 1.0, 2, (pid, pid + 1)) for pid in pids if pid < 90
        }

    def get_gpu_info(self, task_of) -> list[Gpu]:
        tasks = (task_of[11],) if 11 in task_of else ()
        return [Gpu(uuid="g", index=0, tasks=tasks), Gpu(uuid="h", index=1)]

    def sample_host(self, *, cpu_cores_booked: int) -> Resources:
        if self.failures:
            self.failures -= 1
            raise OSError("no /proc today")
        self.sampled.set()
        return Resources(cpu_cores_booked=cpu_cores_booked)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def resources() -> FakeResources:
    return FakeResources()


@pytest.fixture
def sampler(resources) -> Sampler:
    return Sampler(resources, cpu_cores_booked=lambda: 3, wall_clock=lambda: 30.0)


def test_host_is_sampled_when_no_task_runs(sampler):
    sample = sampler.sample()
    assert sample.resources is not None
    assert sample.resources.cpu_cores_booked == 3
    assert sample.sub_agents == ()


def test_task_is_sampled_from_its_root_when_it_runs(sampler):
    sampler.watch(KEY, Watched(root_pid=10, script_pid=11, started_at=20.0))
    (sub_agent,) = sampler.sample().sub_agents
    assert (sub_agent.task_id, sub_agent.offer, sub_agent.pid) == (7, 1, 11)
    assert (sub_agent.cpu_usage, sub_agent.memory_bytes, sub_agent.processes) == (50.0, 1000, 2)
    assert sub_agent.running_seconds == 10.0


def test_gpu_belongs_to_the_task_when_its_process_uses_it(sampler):
    sampler.watch(KEY, Watched(root_pid=10, script_pid=10, started_at=0.0))
    (sub_agent,) = sampler.sample().sub_agents
    assert [gpu.uuid for gpu in sub_agent.gpu_info] == ["g"]


def test_task_is_left_out_when_its_processes_are_gone(sampler):
    sampler.watch(KEY, Watched(root_pid=99, script_pid=99, started_at=0.0))
    assert sampler.sample().sub_agents == ()


def test_task_is_left_out_when_it_is_watched_no_more(sampler):
    sampler.watch(KEY, Watched(root_pid=10, script_pid=10, started_at=0.0))
    sampler.unwatch(KEY)
    sampler.unwatch(KEY)
    assert sampler.sample().sub_agents == ()


def test_running_task_is_watched_by_its_script_when_no_record_names_the_sub_agent(sampler):
    directory = TaskDirectory(Path("/nowhere"), file_system=FileSystem())
    task = LocalTask(KEY, spec(7), directory)
    sampler.watch_task(task)
    assert sampler.sample().sub_agents == ()
    task.identity = ProcessIdentity(10, 1, "b")
    sampler.watch_task(task)
    assert sampler.sample().sub_agents[0].pid == 10


def test_sampling_goes_on_when_one_look_failed(sampler, resources, caplog):
    resources.failures = 1
    sampler.idle_seconds = 0.01
    sampler.start()
    assert resources.sampled.wait(5)
    sampler.stop()
    assert "could not be sampled" in caplog.text
    assert resources.is_closed


def test_stop_is_harmless_when_nothing_was_started(sampler):
    sampler.stop()
