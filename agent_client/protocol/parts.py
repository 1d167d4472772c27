"""The pieces that messages are made of: what is said about tasks, hosts and their load.

Frozen structs; decoding validates. Units stand in the names; times are UTC seconds since
the epoch (float) unless the name says otherwise. Pure data.
"""

from __future__ import annotations

from typing import Literal

from agent_client.protocol.part import Amount, Number, Part, Word
from agent_client.protocol.transfers import TaskKind, Transfer

ScriptType = Literal["shell", "python", "powershell"]
HoldState = Literal["accepted", "claimed", "running", "finished"]
Want = Literal["run", "cancel", "forget", "revoke"]


class TaskRef(Part, frozen=True):
    """One offer of one task; the offer number fences off everything older."""

    task_id: Number
    offer: Number


class TaskLimits(Part, frozen=True):
    """What all processes of a task may use together (memory, processes) or each (the rest)."""

    memory_mb: Amount | None = None
    processes: Amount | None = None
    open_files: Amount | None = None
    nice: int | None = None


class TaskSpec(TaskRef, frozen=True):
    """All that an agent needs to run a task; `gpu_ids` are the GPU uuids booked for it."""

    installation: str
    name: str
    script_type: ScriptType
    script_content: str
    priority: int = 3
    cpu_cores: int = 0
    gpu_ids: tuple[str, ...] = ()
    gpu_memory_mb: int = 0
    timeout_seconds: float | None = None
    grace_seconds: float = 10.0
    env: dict[str, str] = {}
    working_dir: str = ""
    merge_output: bool = False
    run_as: str = ""
    """A user of the host; "" is the agent's own."""
    limits: TaskLimits | None = None
    log_limit_bytes: int | None = None
    tenant_id: str = "default"
    kind: TaskKind = "script"
    transfer: Transfer | None = None
    """What a task of a file kind moves; its script fields are empty then."""


class Hold(TaskRef, frozen=True):
    """What the agent has of one task; log_bytes counts the payload captured so far."""

    state: HoldState
    log_bytes: Number = 0


class Desired(TaskRef, frozen=True):
    """What the server wants for one held task; log_next is the offset it has stored up to."""

    want: Want
    log_next: int | None = None
    spec: TaskSpec | None = None
    reason: str = ""
    grace_seconds: float | None = None


class CancelOrder(TaskRef, frozen=True):
    """Stop one task: reason is `user_cancel` or `agent_lost`."""

    reason: str = "user_cancel"
    grace_seconds: float | None = None


class LogNext(TaskRef, frozen=True):
    """The merged log of a task is stored durably up to this payload offset."""

    next: Number


class Gpu(Part, frozen=True):
    """One GPU as NVML shows it; memory in MB, utilization in percent."""

    uuid: str
    index: int
    name: str = ""
    utilization: float = 0.0
    memory_used: int = 0
    memory_total: int = 0
    tasks: tuple[int, ...] = ()
    foreign: tuple[ForeignProcess, ...] = ()


class ForeignProcess(Part, frozen=True):
    """A process outside the queue that occupies a GPU; memory in MB."""

    pid: int
    user: str = ""
    name: str = ""
    memory_mb: int = 0
    since: float | None = None


class ThreadPool(Part, frozen=True):
    """State of the probe pool, in the user's own field names."""

    max_workers: int = 0
    active_threads: int = 0
    completed_tasks: int = 0
    pending_tasks: int = 0


class ProbePool(Part, frozen=True):
    """The agent's probe scheduler at one moment, part of its heartbeat.

    demand is the mean number of workers the probes need: the sum of duration / interval.
    dropped and missed count due runs since the agent's start; missed maps reason to count.
    running and waiting name at most 200 probes each.
    """

    probes: int = 0
    demand: float = 0.0
    dropped: int = 0
    executed: int = 0
    missed: dict[str, int] = {}
    late_p99_seconds: float = 0.0
    selector_active: int = 0
    outbox_results: int = 0
    outbox_dropped: int = 0
    revision: int = 0
    is_overloaded: bool = False
    running: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()


class Capacity(Part, frozen=True):
    """What the host offers to tasks in all; slots bounds tasks at once."""

    cpu_cores: Amount
    memory_bytes: Number
    slots: Amount
    gpus: tuple[Gpu, ...] = ()
    script_types: tuple[ScriptType, ...] = ("shell", "python")


class Resources(Part, frozen=True):
    """A sample of the host: percentages 0-100, disk of the state directory's file system."""

    cpu_usage: float = 0.0
    memory_usage: float = 0.0
    memory_used_bytes: int = 0
    load_1m: float = 0.0
    disk_usage: float = 0.0
    uptime_seconds: float = 0.0
    cpu_cores_booked: int = 0
    agent_cpu_usage: float = 0.0
    agent_memory_bytes: int = 0
    adaptive_factor: float = 1.0
    """The share of its limits that a loaded host uses now; slots_allowed follows from it."""
    adaptive_cause: Word = ""
    """What loads it: cpu, load or both; "" when the agent does not say."""
    slots_allowed: Amount | None = None
    bandwidth_limit_mb: float | None = None


class SubAgent(TaskRef, frozen=True):
    """A sample of one running task's process tree; cpu_usage 100 is one full core."""

    pid: int = 0
    cpu_usage: float = 0.0
    memory_bytes: Number = 0
    memory_usage: float = 0.0
    gpu_info: tuple[Gpu, ...] = ()
    processes: int = 0
    running_seconds: float = 0.0
    progress: Progress | None = None


class Progress(Part, frozen=True):
    """What a carriage-return bar in the output says: percent 0-100, remaining seconds."""

    percent: float
    eta_seconds: float | None = None
    text: str = ""
