"""Typed messages between agent and server, the same over HTTP polling and WebSocket.

Every message is a frozen struct whose `type` field names its kind; decoding validates.
Unknown fields are ignored, an unknown kind is a ValidationError that the receiver
answers and never treats as fatal. Units stand in the names; times are UTC seconds
since the epoch (float) unless the name says otherwise.
"""

from __future__ import annotations

from typing import Any

from agent_client.protocol.part import Amount, Code, Number, Part
from agent_client.protocol.parts import (
    BandwidthOrder,
    CancelOrder,
    Capacity,
    Desired,
    ForeignProcess,
    Gpu,
    Hold,
    HoldState,
    LogNext,
    ProbePool,
    Progress,
    Resources,
    ScriptType,
    SubAgent,
    TaskLimits,
    TaskRef,
    TaskSpec,
    ThreadPool,
    Want,
)
from agent_client.protocol.plugins import PluginState
from agent_client.protocol.releases import ReleaseState, WantedRelease

# Who sends messages needs their pieces too: one place to import both from.
# fmt: off
__all__ = [
    "MAX_MESSAGES_PER_FRAME",
    "MAX_MESSAGE_BYTES",
    "PROTOCOL_VERSION",
    "Accepted",
    "Ack",
    "AgentMessage",
    "Amount",
    "Answer",
    "BandwidthOrder",
    "CancelOrder",
    "CancelTasksBatch",
    "Capacity",
    "Code",
    "Desired",
    "Flagged",
    "ForeignProcess",
    "Go",
    "Gpu",
    "Heartbeat",
    "Hello",
    "Hold",
    "HoldState",
    "LogChunk",
    "LogNext",
    "Message",
    "Number",
    "Part",
    "PluginState",
    "ProbePool",
    "Progress",
    "QueuedMessage",
    "Reconcile",
    "Refused",
    "Rejected",
    "ReleaseState",
    "Resources",
    "Result",
    "Revoked",
    "ScriptType",
    "ServerMessage",
    "Started",
    "SubAgent",
    "SystemNews",
    "TaskLimits",
    "TaskRef",
    "TaskSpec",
    "TasksBatch",
    "ThreadPool",
    "Want",
    "WantedRelease",
    "Welcome",
]
# fmt: on

PROTOCOL_VERSION = 1
MAX_MESSAGE_BYTES = 1024 * 1024
"""Upper bound of one log frame on the WebSocket (daphne's default cap)."""
MAX_MESSAGES_PER_FRAME = 256


class Message(Part, frozen=True, tag_field="type"):
    """A unit that is sent, confirmed and repeated as a whole, identified by message_id."""

    message_id: str


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
    release: ReleaseState | None = None


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
    plugins: tuple[PluginState, ...] = ()
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

    `reason` is one of: exit, user_cancel, timeout, start_failed,
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


class SystemNews(Message, frozen=True, tag="system"):
    """The host has changed since its hello: all facts anew, in the shape of `Hello.system`."""

    system: dict[str, Any]


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
    plugins_revision: int = 0
    desired: tuple[Desired, ...] = ()
    release: WantedRelease | None = None


class Ack(Message, frozen=True, tag="ack"):
    """The named messages are stored durably; message_id echoes the first of them."""

    message_ids: tuple[str, ...] = ()
    log_next: tuple[LogNext, ...] = ()
    heartbeat_interval: float | None = None
    probes_revision: int | None = None
    plugins_revision: int | None = None
    release: WantedRelease | None = None


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

    desired: tuple[Desired, ...] = ()
    bandwidths: tuple[BandwidthOrder, ...] = ()


class Rejected(Message, frozen=True, tag="error"):
    """A message was not accepted; code and detail say why, message_id names it."""

    code: str
    detail: str = ""
    fatal: bool = False


QueuedMessage = Hello | Accepted | Refused | Started | Result | Flagged | SystemNews
"""What may ride along in an HTTP heartbeat; log chunks have a binary endpoint of their own."""
AgentMessage = (
    Hello | Heartbeat | Accepted | Refused | Started | Result | Flagged | SystemNews | LogChunk
)
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
    bandwidths: tuple[BandwidthOrder, ...] = ()
    errors: tuple[Rejected, ...] = ()
    probes_revision: int = 0
    plugins_revision: int = 0
    release: WantedRelease | None = None
    heartbeat_interval: float = 2.0
    epoch: int = 0
    installation: str = ""
    server_time: float = 0.0
