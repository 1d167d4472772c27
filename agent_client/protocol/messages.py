"""Typed messages between agent and server, the same over HTTP polling and WebSocket.

Every message is a frozen struct whose `type` field names its kind; decoding validates.
Unknown fields are ignored, an unknown kind is a ValidationError that the receiver
answers and never treats as fatal. Units stand in the names; times are UTC seconds
since the epoch (float) unless the name says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

PROTOCOL_VERSION = 1
MAX_MESSAGE_BYTES = 1024 * 1024
"""Upper bound of one log frame on the WebSocket (daphne's default cap)."""
MAX_MESSAGES_PER_FRAME = 256

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""An id, count or offset; no larger than database columns and file offsets."""
Code = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""An exit code or a signal number."""
Amount = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A small count: cores, slots."""

ScriptType = Literal["shell", "python", "powershell"]
HoldState = Literal["accepted", "claimed", "running", "finished"]
Want = Literal["run", "cancel", "forget", "revoke"]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a message; encoded without the fields that hold their default."""


class Message(Part, frozen=True, tag_field="type"):
    """A unit that is sent, confirmed and repeated as a whole, identified by message_id."""

    message_id: str


# --- pieces -------------------------------------------------------------------


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


# --- agent to server ----------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """First message of a WebSocket connection: who I am and what I hold."""

    agent_id: str
    instance_id: str
    boot_id: str
    version: str
    capacity: Capacity
    protocol: int = PROTOCOL_VERSION
    system: dict[str, Any] = {}
    labels: dict[str, str] = {}
    holds: tuple[Hold, ...] = ()


class Heartbeat(Message, frozen=True, tag="heartbeat", kw_only=True):
    """A sign of life; `holds` is sent when its digest changed and every 30 s, else None.

    Over HTTP it is the request's body: type and message_id may then be missing, and the
    messages that wait ride along in `messages`.
    """

    agent_id: str
    message_id: str = ""
    status: str = "running"
    thread_pool: ThreadPool = ThreadPool()
    probe_pool: ProbePool | None = None
    resources: Resources | None = None
    gpus: tuple[Gpu, ...] | None = None
    sub_agents: tuple[SubAgent, ...] = ()
    holds: tuple[Hold, ...] | None = None
    holds_digest: str = ""
    instance_id: str = ""
    capacity: Capacity | None = None
    messages: tuple[QueuedMessage, ...] = ()


class Accepted(Message, frozen=True, tag="accepted"):
    """The agent has booked the offer and stored it durably; it waits for `go`."""

    task_id: Number
    offer: Number


class Refused(Message, frozen=True, tag="refused"):
    """The agent will not run this offer; code is from the catalogue, e.g. `no_free_slot`."""

    task_id: Number
    offer: Number
    code: str
    detail: str = ""


class Started(Message, frozen=True, tag="started"):
    """The script's process runs."""

    task_id: Number
    offer: Number
    pid: int
    started_at: float
    boot_id: str = ""


class Result(Message, frozen=True, tag="result"):
    """The one end of a task; exit_code is None when a signal or a loss ended it.

    `reason` is one of the contract: exit, user_cancel, timeout, start_failed,
    supervisor_lost, host_reboot, out_of_memory.
    """

    task_id: Number
    offer: Number
    reason: str
    finished_at: float
    exit_code: Code | None = None
    signal: Code | None = None
    started_at: float | None = None
    duration_seconds: float = 0.0
    log_bytes: Number = 0
    log_truncated_bytes: Number = 0
    detail: str = ""


class Flagged(Message, frozen=True, tag="flagged"):
    """A fact beside the state: the task's processes survive KILL (`unkillable`)."""

    task_id: Number
    offer: Number
    unkillable: bool = False
    detail: str = ""


class LogChunk(Message, frozen=True, tag="log"):
    """Whole frames of a task's log from payload offset `offset`; travels as a binary frame."""

    task_id: Number
    offer: Number
    offset: Number
    frames: bytes


# --- server to agent ----------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome"):
    """Answer to hello: the connection's epoch, the pace, and what is wanted."""

    epoch: int
    heartbeat_interval: float
    installation: str
    server_time: float
    probes_revision: int = 0
    desired: tuple[Desired, ...] = ()


class Ack(Message, frozen=True, tag="ack"):
    """The named messages are stored durably; message_id echoes the first of them."""

    message_ids: tuple[str, ...] = ()
    log_next: tuple[LogNext, ...] = ()
    heartbeat_interval: float | None = None
    probes_revision: int | None = None


class TasksBatch(Message, frozen=True, tag="tasks_batch"):
    """Offers of tasks; nothing starts before `go`."""

    tasks: tuple[TaskSpec, ...]


class Go(Message, frozen=True, tag="go"):
    """These accepted offers are committed: claim and start them."""

    tasks: tuple[TaskRef, ...]


class Revoked(Message, frozen=True, tag="revoked"):
    """These offers are void: free the booking, start nothing."""

    tasks: tuple[TaskRef, ...]


class CancelTasksBatch(Message, frozen=True, tag="cancel_tasks_batch"):
    """Stop these tasks with all their processes."""

    tasks: tuple[CancelOrder, ...]


class Reconcile(Message, frozen=True, tag="desired"):
    """What the server wants for the tasks the agent holds, where it differs."""

    desired: tuple[Desired, ...]


class Rejected(Message, frozen=True, tag="error"):
    """A message was not accepted; code and detail say why, message_id names it."""

    code: str
    detail: str = ""
    fatal: bool = False


QueuedMessage = Hello | Accepted | Refused | Started | Result | Flagged
"""What may ride along in an HTTP heartbeat; log chunks have a binary endpoint of their own."""
AgentMessage = Hello | Heartbeat | Accepted | Refused | Started | Result | Flagged | LogChunk
ServerMessage = Welcome | Ack | TasksBatch | Go | Revoked | CancelTasksBatch | Reconcile | Rejected


class Answer(Part, frozen=True, omit_defaults=False):
    """Body of the HTTP heartbeat's reply: every server message of one beat in one object."""

    acks: tuple[str, ...] = ()
    log_next: tuple[LogNext, ...] = ()
    tasks: tuple[TaskSpec, ...] = ()
    go: tuple[TaskRef, ...] = ()
    revoked: tuple[TaskRef, ...] = ()
    cancel_tasks: tuple[CancelOrder, ...] = ()
    desired: tuple[Desired, ...] = ()
    errors: tuple[Rejected, ...] = ()
    probes_revision: int = 0
    heartbeat_interval: float = 2.0
    epoch: int = 0
    installation: str = ""
    server_time: float = 0.0
