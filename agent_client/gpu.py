"""The GPUs of this host through NVML, with who uses them.

The module `pynvml` is imported only here and only when it is there. A host without
library, driver or GPU has an empty list and one line in the log; the driver is looked for
again once a minute, because it may be loaded after the agent. A query that one GPU does
not support reads as zero; a GPU that fails altogether is left out. Never changes a GPU.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from agent_client.catalogue import announce
from agent_client.protocol.messages import ForeignProcess, Gpu

logger = logging.getLogger(__name__)

_MB = 1024 * 1024
_RETRY_SECONDS = 60.0
_MAX_FOREIGN = 32
"""Foreign processes named per GPU; more would only make the heartbeat long."""


def import_nvml() -> Any:
    """Return the module pynvml; raises ImportError where it is not installed."""
    return importlib.import_module("pynvml")


class GpuReader:
    """Reads all GPUs; may be called from one thread at a time."""

    def __init__(
        self,
        load: Callable[[], Any] = import_nvml,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep how NVML is loaded; nothing is loaded before the first read."""
        self._load = load
        self._clock = clock
        self._nvml: Any = None
        self._next_try = float("-inf")
        self._told = False

    def read(self, task_of: Mapping[int, int] | None = None) -> list[Gpu]:
        """Return the GPUs in NVML's order.

        task_of maps process ids to task ids; processes on a GPU that it lacks are foreign.
        """
        nvml = self._ready()
        if nvml is None:
            return []
        try:
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            self._forget(str(error))  # the driver went away: look for it again
            return []
        found = (self._gpu(nvml, index, task_of or {}) for index in range(count))
        return [gpu for gpu in found if gpu is not None]

    def close(self) -> None:
        """Let the driver go."""
        if self._nvml is not None:
            nvml, self._nvml = self._nvml, None
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError:
                logger.debug("NVML did not shut down")

    def _ready(self) -> Any:
        """Return NVML initialised, or None; tries at most once a minute."""
        if self._nvml is None and self._clock() >= self._next_try:
            self._next_try = self._clock() + _RETRY_SECONDS
            try:
                nvml = self._load()
                nvml.nvmlInit()
            except Exception as error:  # noqa: BLE001 - a broken driver must not end the agent
                self._tell(str(error) or type(error).__name__)
            else:
                self._nvml = nvml
        return self._nvml

    def _forget(self, detail: str) -> None:
        self.close()
        self._next_try = self._clock() + _RETRY_SECONDS
        self._tell(detail)

    def _tell(self, detail: str) -> None:
        """Say once that there is no GPU."""
        if not self._told:
            self._told = True
            announce(logger, "gpu_absent", detail=detail)

    def _gpu(self, nvml: Any, index: int, task_of: Mapping[int, int]) -> Gpu | None:
        """Return one GPU, None when it does not answer at all."""
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            uuid = _text(nvml.nvmlDeviceGetUUID(handle))
        except nvml.NVMLError as error:
            logger.warning("GPU %d does not answer: %s", index, error)
            return None
        memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
        load = _ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
        used_by = _processes(nvml, handle)
        return Gpu(
            uuid=uuid,
            index=index,
            name=_text(_ask(nvml, nvml.nvmlDeviceGetName, handle) or ""),
            utilization=float(load.gpu) if load else 0.0,
            memory_used=memory.used // _MB if memory else 0,
            memory_total=memory.total // _MB if memory else 0,
            tasks=tuple(sorted({task_of[pid] for pid in used_by if pid in task_of})),
            foreign=tuple(
                _foreign(pid, memory_bytes)
                for pid, memory_bytes in sorted(used_by.items())
                if pid not in task_of
            )[:_MAX_FOREIGN],
        )


def _ask(nvml: Any, query: Callable[[Any], Any], handle: Any) -> Any:
    """Return the query's answer, None where the GPU does not support it."""
    try:
        return query(handle)
    except nvml.NVMLError:
        return None


def _processes(nvml: Any, handle: Any) -> dict[int, int]:
    """Return the bytes per process id that computes or draws on the GPU."""
    used: dict[int, int] = {}
    for query in (
        nvml.nvmlDeviceGetComputeRunningProcesses,
        nvml.nvmlDeviceGetGraphicsRunningProcesses,
    ):
        for process in _ask(nvml, query, handle) or ():
            used[process.pid] = max(used.get(process.pid, 0), process.usedGpuMemory or 0)
    return used


def _foreign(pid: int, memory_bytes: int) -> ForeignProcess:
    """Describe a process outside the queue; what cannot be seen stays empty."""
    user, name, since = "", "", None
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            name, since, user = process.name(), process.create_time(), process.username()
    except (psutil.Error, KeyError):
        pass  # ended meanwhile, or of another process namespace
    return ForeignProcess(pid=pid, user=user, name=name, memory_mb=memory_bytes // _MB, since=since)


def _text(value: str | bytes) -> str:
    """Return NVML's strings as text; older versions give bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
