"""GPUs through a fake NVML: values, task and foreign processes, absence and failures."""

from __future__ import annotations

import logging
import os

import psutil
import pytest

from agent_client.gpu import GpuReader
from tests.agent_client.fake_nvml import FakeGpu, FakeNvml

NOBODY = 2**22 + 1
"""Above the largest pid of Linux."""


def _reader(nvml: FakeNvml, clock=lambda: 0.0) -> GpuReader:
    return GpuReader(lambda: nvml, clock)


def test_read_returns_load_and_memory_of_every_gpu():
    nvml = FakeNvml(FakeGpu("GPU-a"), FakeGpu("GPU-b", load=90, used_mb=7))
    first, second = _reader(nvml).read()
    assert (first.uuid, first.index, first.name) == ("GPU-a", 0, "NVIDIA H200")
    assert (first.utilization, first.memory_used, first.memory_total) == (40.0, 1000, 140_000)
    assert (second.uuid, second.index, second.utilization, second.memory_used) == (
        "GPU-b",
        1,
        90.0,
        7,
    )


def test_processes_are_split_into_tasks_and_foreign_ones():
    nvml = FakeNvml(FakeGpu(processes={11: 100, 12: 50, os.getpid(): 300}))
    (gpu,) = _reader(nvml).read({11: 7, 12: 7})
    assert gpu.tasks == (7,)
    (foreign,) = gpu.foreign
    assert (foreign.pid, foreign.memory_mb) == (os.getpid(), 300)
    assert foreign.name == psutil.Process().name()
    assert foreign.since == psutil.Process().create_time()


def test_foreign_process_that_cannot_be_seen_is_still_counted():
    (gpu,) = _reader(FakeNvml(FakeGpu(processes={NOBODY: None}))).read()
    assert [(p.pid, p.name, p.memory_mb, p.since) for p in gpu.foreign] == [(NOBODY, "", 0, None)]


def test_foreign_processes_are_bounded():
    (gpu,) = _reader(
        FakeNvml(FakeGpu(processes=dict.fromkeys(range(NOBODY, NOBODY + 99), 1)))
    ).read()
    assert len(gpu.foreign) == 32


def test_older_module_with_bytes_is_understood():
    (gpu,) = _reader(FakeNvml(FakeGpu(b"GPU-a", b"Tesla"))).read()
    assert (gpu.uuid, gpu.name) == ("GPU-a", "Tesla")


def test_unsupported_query_reads_as_zero():
    (gpu,) = _reader(FakeNvml(FakeGpu(load=None))).read()
    assert gpu.utilization == 0.0


def test_lost_gpu_is_left_out_and_the_others_keep_their_index():
    (gpu,) = _reader(FakeNvml(FakeGpu(lost=True), FakeGpu("GPU-b"))).read()
    assert (gpu.uuid, gpu.index) == ("GPU-b", 1)


@pytest.fixture
def clock():
    """Return a clock whose time is its item."""

    class Clock(list):
        def __call__(self):
            return self[0]

    return Clock([0.0])


def test_absent_module_is_an_empty_list_and_one_line(caplog, clock):
    def absent():
        raise ModuleNotFoundError("No module named 'pynvml'")

    reader = GpuReader(absent, clock)
    with caplog.at_level(logging.INFO, "agent_client.gpu"):
        for clock[0] in (0.0, 1.0, 100.0):
            assert reader.read() == []
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.INFO


def test_driver_is_looked_for_again_once_a_minute(clock):
    nvml = FakeNvml(FakeGpu(), init_error="Driver Not Loaded")
    reader = _reader(nvml, clock)
    for clock[0] in (0.0, 30.0, 59.0):
        assert reader.read() == []
    assert nvml.calls == ["init"]
    nvml.init_error = ""
    clock[0] = 61.0
    assert len(reader.read()) == 1


def test_driver_that_goes_away_is_waited_for(clock):
    nvml = FakeNvml(FakeGpu())
    reader = _reader(nvml, clock)
    assert reader.read()
    nvml.driver_gone = True
    assert reader.read() == []
    nvml.driver_gone = False
    assert reader.read() == []
    clock[0] = 61.0
    assert reader.read()


def test_close_lets_the_driver_go_once():
    nvml = FakeNvml(FakeGpu())
    reader = _reader(nvml)
    reader.read()
    reader.close()
    reader.close()
    assert nvml.calls == ["init", "shutdown"]
