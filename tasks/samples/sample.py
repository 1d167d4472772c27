"""One look at a running task's processes, and how many looks become one.

Pure. Usages are folded to their mean, memory to its peak: a peak is what ends a task.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent_client.protocol.messages import SubAgent

MAX_PERCENT = 1_000_000.0
MAX_SIZE = 2**62


class Sample(msgspec.Struct, frozen=True):
    """Usage at a time (seconds since the epoch); cpu_usage 100 is one full core.

    The GPU figures are those of the GPUs the task runs on, the mean of their utilization
    and the sum of their used memory; None where it has none.
    """

    time: int
    cpu_usage: float
    memory_bytes: int
    gpu_usage: float | None = None
    gpu_memory_mb: int | None = None


def sample_of(seen: SubAgent, time: int) -> Sample:
    """Return what a host said of a task; figures beyond reason are cut."""
    gpus = seen.gpu_info
    return Sample(
        time=time,
        cpu_usage=_percent(seen.cpu_usage),
        memory_bytes=_size(seen.memory_bytes),
        gpu_usage=_percent(sum(gpu.utilization for gpu in gpus) / len(gpus)) if gpus else None,
        gpu_memory_mb=_size(sum(gpu.memory_used for gpu in gpus)) if gpus else None,
    )


def merge(earlier: Sample, later: Sample, *, weight: int = 1) -> Sample:
    """Return one sample for both, at the later time; weight: how many looks `earlier` is."""
    return Sample(
        time=later.time,
        cpu_usage=_mean(earlier.cpu_usage, later.cpu_usage, weight),
        memory_bytes=max(earlier.memory_bytes, later.memory_bytes),
        gpu_usage=_mean_of_known(earlier.gpu_usage, later.gpu_usage, weight),
        gpu_memory_mb=max(
            (one for one in (earlier.gpu_memory_mb, later.gpu_memory_mb) if one is not None),
            default=None,
        ),
    )


def halve(samples: Sequence[Sample]) -> list[Sample]:
    """Return half as many samples: each with its neighbour; an odd last one stays."""
    pairs = [merge(*samples[at : at + 2]) for at in range(0, len(samples) - 1, 2)]
    return pairs + list(samples[len(pairs) * 2 :])


def _mean(earlier: float, later: float, weight: int) -> float:
    """Return the mean of `weight` looks and one more."""
    return round((earlier * weight + later) / (weight + 1), 1)


def _mean_of_known(earlier: float | None, later: float | None, weight: int) -> float | None:
    """Return the mean, or the only figure there is."""
    if earlier is None or later is None:
        return later if earlier is None else earlier
    return _mean(earlier, later, weight)


def _percent(value: float) -> float:
    """Return a usage within bounds."""
    return round(min(max(value, 0.0), MAX_PERCENT), 1)


def _size(value: int) -> int:
    """Return an amount within bounds."""
    return min(max(value, 0), MAX_SIZE)
