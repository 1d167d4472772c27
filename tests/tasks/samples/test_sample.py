"""Samples: bounded, and folded so that peaks of memory stay."""

from __future__ import annotations

from agent_client.protocol.messages import Gpu, SubAgent
from tasks.samples.sample import MAX_PERCENT, MAX_SIZE, Sample, halve, merge, sample_of


def seen(**figures: object) -> SubAgent:
    """Return what a host says of task 1."""
    return SubAgent(task_id=1, offer=1, **figures)


def gpu(utilization: float, memory_used: int) -> Gpu:
    """Return one GPU of a task."""
    return Gpu(uuid="G", index=0, utilization=utilization, memory_used=memory_used)


def test_sample_without_gpus_has_no_gpu_figures():
    sample = sample_of(seen(cpu_usage=87.25, memory_bytes=5), 9)
    assert sample == Sample(9, 87.2, 5)


def test_sample_joins_the_gpus_of_the_task():
    sample = sample_of(seen(gpu_info=(gpu(90, 1_000), gpu(70, 500))), 9)
    assert (sample.gpu_usage, sample.gpu_memory_mb) == (80.0, 1_500)


def test_figures_beyond_reason_are_cut():
    sample = sample_of(seen(cpu_usage=1e300, gpu_info=(gpu(-5.0, 2**200),)), 9)
    assert (sample.cpu_usage, sample.gpu_usage) == (MAX_PERCENT, 0.0)
    assert sample.gpu_memory_mb == MAX_SIZE


def test_two_samples_become_their_mean_usage_and_peak_memory():
    both = merge(Sample(1, 10.0, 900, 50.0, 7), Sample(3, 20.0, 100, 100.0, 5))
    assert both == Sample(3, 15.0, 900, 75.0, 7)


def test_earlier_looks_weigh_as_many_as_they_are():
    assert merge(Sample(1, 10.0, 0), Sample(3, 50.0, 0), weight=3).cpu_usage == 20.0


def test_figure_known_once_is_kept():
    assert merge(Sample(1, 0.0, 0, 40.0, 8), Sample(3, 0.0, 0)).gpu_usage == 40.0
    assert merge(Sample(1, 0.0, 0), Sample(3, 0.0, 0, 40.0, 8)).gpu_memory_mb == 8


def test_halving_joins_neighbours_and_keeps_an_odd_last_one():
    halved = halve([Sample(at, float(at), at) for at in range(5)])
    assert [(one.time, one.memory_bytes) for one in halved] == [(1, 1), (3, 3), (4, 4)]
    assert halve([]) == []
