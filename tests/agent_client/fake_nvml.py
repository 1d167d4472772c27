"""A pynvml that lives in memory: GPUs with memory, load and processes, and their failures."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

MB = 1024 * 1024


class NVMLError(Exception):
    """What every failing call of the module raises."""


@dataclass
class FakeGpu:
    """One GPU; `processes` maps pids to MB (None: hidden by the driver)."""

    uuid: str | bytes = "GPU-0"
    name: str | bytes = "NVIDIA H200"
    used_mb: int = 1000
    total_mb: int = 140_000
    load: int | None = 40
    processes: dict[int, int | None] = field(default_factory=dict)
    lost: bool = False


class FakeNvml:
    """The functions of pynvml that the agent calls."""

    NVMLError = NVMLError

    def __init__(self, *gpus: FakeGpu, init_error: str = "") -> None:
        self.gpus = list(gpus)
        self.init_error = init_error
        self.driver_gone = False
        self.calls: list[str] = []

    def nvmlInit(self) -> None:
        self.calls.append("init")
        if self.init_error:
            raise NVMLError(self.init_error)

    def nvmlShutdown(self) -> None:
        self.calls.append("shutdown")

    def nvmlDeviceGetCount(self) -> int:
        if self.driver_gone:
            raise NVMLError("Driver Not Loaded")
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        if self.gpus[index].lost:
            raise NVMLError("GPU is lost")
        return self.gpus[index]

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> str | bytes:
        return gpu.uuid

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> str | bytes:
        return gpu.name

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu) -> SimpleNamespace:
        return SimpleNamespace(used=gpu.used_mb * MB, total=gpu.total_mb * MB)

    def nvmlDeviceGetUtilizationRates(self, gpu: FakeGpu) -> SimpleNamespace:
        if gpu.load is None:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=gpu.load, memory=0)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: FakeGpu) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(pid=pid, usedGpuMemory=None if mb is None else mb * MB)
            for pid, mb in gpu.processes.items()
        ]

    def nvmlDeviceGetGraphicsRunningProcesses(self, gpu: FakeGpu) -> list[SimpleNamespace]:
        raise NVMLError("Not Supported")
