"""Cores, memory and process trees: exact from fakes, and once from real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from agent_client import resource_util
from agent_client.gpu import GpuReader
from agent_client.process_table import ProcessRow, ProcessTable
from agent_client.resource_util import ResourceUtil
from tests.agent_client.fake_nvml import FakeGpu, FakeNvml


class World:
    """Processes and time as a test sets them; `rows` maps pid to (parent, cpu, rss, started)."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rows: dict[int, tuple[int, float, int, float]] = {}

    def table(self) -> ProcessTable:
        return ProcessTable(
            {
                pid: ProcessRow(pid, parent, started, cpu, rss)
                for pid, (parent, cpu, rss, started) in self.rows.items()
            }
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def resources(world, tmp_path) -> ResourceUtil:
    """Return a ResourceUtil on the fake world, without control groups and GPUs."""
    return ResourceUtil(
        root=tmp_path, clock=lambda: world.now, read_table=world.table, gpus=GpuReader(FakeNvml)
    )


def _quota(root, text: str) -> None:
    for name, content in (("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", text)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.mark.parametrize(
    ("quota", "affinity", "cores"),
    [
        ("max 100000", 8, 8),
        ("300000 100000", 8, 3),
        ("250000 100000", 8, 2),
        ("50000 100000", 8, 1),
        ("900000 100000", 4, 4),
    ],
)
def test_core_count_is_quota_or_affinity(resources, tmp_path, monkeypatch, quota, affinity, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)))
    _quota(tmp_path, quota)
    assert resources.get_cpu_core_count() == cores


def test_core_count_comes_from_psutil_when_there_is_no_affinity(resources, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert resources.get_cpu_core_count() == psutil.cpu_count()


def test_cpu_usage_is_that_of_the_whole_tree_since_the_last_question(resources, world):
    world.rows = {10: (1, 1.0, 0, 0), 11: (10, 5.0, 0, 0), 99: (1, 50.0, 0, 0)}
    assert resources.get_cpu_usage(10) == 0.0
    world.now = 2.0
    world.rows = {10: (1, 2.0, 0, 0), 11: (10, 7.0, 0, 0), 99: (1, 90.0, 0, 0)}
    assert resources.get_cpu_usage(10) == 150.0


def test_cpu_time_of_a_child_that_ended_is_not_lost(resources, world):
    world.rows = {10: (1, 1.0, 0, 0), 11: (10, 5.0, 0, 0)}
    resources.get_cpu_usage(10)
    world.now = 1.0
    world.rows = {10: (1, 7.0, 0, 0)}  # it inherited 5 s and the child's last 1 s
    assert resources.get_cpu_usage(10) == 100.0


def test_cpu_usage_is_never_negative_when_a_process_leaves_the_tree(resources, world):
    world.rows = {10: (1, 1.0, 0, 0), 11: (10, 5.0, 0, 0)}
    resources.get_cpu_usage(10)
    world.now, world.rows = 1.0, {10: (1, 1.0, 0, 0)}
    assert resources.get_cpu_usage(10) == 0.0


def test_cpu_usage_starts_anew_when_the_pid_is_given_again(resources, world):
    world.rows = {10: (1, 1.0, 0, 0.0)}
    resources.get_cpu_usage(10)
    world.now, world.rows = 1.0, {10: (1, 900.0, 0, 5.0)}
    assert resources.get_cpu_usage(10) == 0.0


def test_cpu_usage_keeps_the_last_rate_when_asked_again_at_once(resources, world):
    world.rows = {10: (1, 0.0, 0, 0)}
    resources.get_cpu_usage(10)
    world.now, world.rows = 1.0, {10: (1, 0.5, 0, 0)}
    assert resources.get_cpu_usage(10) == 50.0
    world.now, world.rows = 1.01, {10: (1, 0.51, 0, 0)}
    assert resources.get_cpu_usage(10) == 50.0


def test_memory_usage_is_that_of_the_whole_tree(resources, world):
    world.rows = {10: (1, 0, 100, 0), 11: (10, 0, 50, 0), 12: (1, 0, 7, 0)}
    assert resources.get_memory_usage(10) == 150


def test_gone_process_uses_nothing(resources):
    assert resources.get_cpu_usage(10) == 0.0
    assert resources.get_memory_usage(10) == 0
    assert resources.sample_tree(10) is None


def test_sample_tree_tells_processes_and_share_of_memory(resources, world):
    half = resources.get_memory_total() // 2
    world.rows = {10: (1, 0, half, 0), 11: (10, 0, 0, 0)}
    sample = resources.sample_tree(10)
    assert sample is not None
    assert (sample.processes, sample.memory_usage, sample.memory_bytes) == (2, 50.0, half)
    assert set(sample.pids) == {10, 11}


def test_sample_trees_looks_once_and_leaves_out_what_is_gone(resources, world, monkeypatch):
    world.rows = {10: (1, 0, 0, 0), 20: (1, 0, 0, 0)}
    looks = []
    monkeypatch.setattr(resources, "_read_table", lambda: looks.append(1) or world.table())
    assert set(resources.sample_trees([10, 20, 30])) == {10, 20}
    assert len(looks) == 1


def test_trees_that_are_not_asked_for_are_forgotten(resources, world):
    world.rows = {10: (1, 0, 0, 0), 20: (1, 0, 0, 0)}
    resources.sample_trees([10, 20])
    resources.sample_trees([20])
    assert set(resources._marks) == {20}


def test_real_tree_is_measured(tmp_path):
    script = "(while :; do :; done) & wait"
    resources = ResourceUtil()
    child = subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True)
    try:
        resources.sample_tree(child.pid)
        deadline = time.monotonic() + 10
        while not (sample := resources.sample_tree(child.pid)) or sample.cpu_usage < 5:
            assert time.monotonic() < deadline
            time.sleep(0.06)
        assert sample.processes == 2
        assert sample.memory_bytes > 100_000
    finally:
        os.killpg(child.pid, 9)
        child.wait()
    assert resources.sample_tree(child.pid) is None


def test_sample_host_is_within_its_limits(resources):
    sample = resources.sample_host(cpu_cores_booked=3)
    assert sample.cpu_cores_booked == 3
    assert 0 <= sample.cpu_usage <= 100
    assert 0 < sample.memory_usage <= 100
    assert 0 < sample.disk_usage <= 100
    assert sample.uptime_seconds > 0
    assert sample.agent_memory_bytes > 1024 * 1024


def _memory_group(root, limit: int, used: int) -> None:
    group = root / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/\n")
    (group / "memory.max").write_text(str(limit))
    (group / "memory.current").write_text(str(used))


def test_memory_of_the_host_is_that_of_a_limited_group(tmp_path):
    _memory_group(tmp_path, limit=1000, used=250)
    resources = ResourceUtil(root=tmp_path)
    assert resources.get_memory_total() == 1000
    assert resources.sample_host().memory_usage == 25.0


def test_disk_of_a_directory_that_is_not_there_yet_is_its_parents(tmp_path):
    assert resource_util._disk_percent(tmp_path / "a" / "b") == pytest.approx(
        psutil.disk_usage(str(tmp_path)).percent, abs=1
    )


def test_gpus_come_from_the_reader(tmp_path):
    nvml = FakeNvml(FakeGpu(processes={5: 10}))
    resources = ResourceUtil(root=tmp_path, gpus=GpuReader(lambda: nvml))
    (gpu,) = resources.get_gpu_info({5: 77})
    assert gpu.tasks == (77,)
    resources.close()
    assert nvml.calls == ["init", "shutdown"]


@pytest.mark.skipif(sys.platform != "linux", reason="load is a Unix notion")
def test_load_is_zero_where_the_system_has_none(monkeypatch):
    def missing():
        raise OSError

    monkeypatch.setattr(os, "getloadavg", missing)
    assert resource_util._load() == (0.0, 0.0, 0.0)
