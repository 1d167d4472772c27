"""What this host offers to tasks: cores, memory, GPUs, slots and script types."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent_client.protocol.messages import Capacity, ScriptType

if TYPE_CHECKING:
    from agent_client.resource_util import ResourceUtil

INTERPRETERS: Mapping[ScriptType, tuple[str, ...]] = {
    "shell": ("bash", "sh"),
    "python": ("python3",),
    "powershell": ("pwsh", "powershell"),
}


def capacity_of(resources: ResourceUtil, *, slots: int, path: str | None) -> Capacity:
    """Return what this host offers; path is where scripts will look for interpreters."""
    found = [
        kind
        for kind, programs in INTERPRETERS.items()
        if any(shutil.which(program, path=path) for program in programs)
    ]
    return Capacity(
        cpu_cores=resources.get_cpu_core_count(),
        memory_bytes=resources.get_memory_total(),
        slots=slots,
        gpus=tuple(resources.get_gpu_info()),
        script_types=tuple(found),
    )


def usable_cores(count: int) -> tuple[int, ...]:
    """Return the numbers of the cores to book: as many as the host may use at once."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))[:count]
    return tuple(range(count))
