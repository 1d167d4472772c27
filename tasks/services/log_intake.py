"""Log bytes from hosts: who may write, where they go, who is told.

The sink of the agents' inbox and the handler of the raw log endpoint. Runs outside of the
writer's transaction, in the threads of the log lanes; acknowledges after the store's
flush. Only the host that was told to run a task writes its log, for that offer only (R3).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from django.conf import settings
from django.utils.translation import gettext as _

from agent_client.protocol.frames import STREAM_IDS, FrameError
from agent_client.protocol.messages import LogChunk
from agents import offload
from agents.endpoints import LogPut
from agents.inbox import AgentPrincipal, LogGap
from dialer_platform.errors import Conflict, Invalid, NotFound, TooLarge
from tasks import events
from tasks.choices import FINAL, Status
from tasks.logs import bars
from tasks.logs.files import reader, store
from tasks.logs.store import Gap
from tasks.models import Task
from tasks.services.forgetting import note_stored

MAX_REMEMBERED = 4_096
LIMIT_SLACK_BYTES = 1024 * 1024
"""Above the limit that agents keep: room for the line that says what was cut."""


class _Writer(NamedTuple):
    """Who may write a task's log."""

    agent_id: str
    offer: int


_guard = threading.Lock()
_writers: OrderedDict[int, _Writer] = OrderedDict()


def take_chunk(principal: AgentPrincipal, chunk: LogChunk) -> int:
    """Store one chunk and return the next offset; raises LogGap or a DomainError."""
    _check_writer(principal, chunk.task_id, chunk.offer)
    _check_limit(chunk.offset + len(chunk.frames))
    try:
        end = store().append(chunk.task_id, chunk.offset, chunk.frames)
    except Gap as gap:
        raise LogGap(gap.expected) from gap
    except FrameError as error:
        raise Invalid(str(error), code="malformed") from error
    bars.note(chunk.task_id, chunk.frames, tenant_id=principal.tenant_id)
    _announce(principal, chunk.task_id, end)
    return end


async def take_raw(principal: AgentPrincipal, put: LogPut) -> int:
    """Store raw bytes of one stream; returns the stream's next offset."""
    return await offload.run(_store_raw, principal, put)


def _store_raw(principal: AgentPrincipal, put: LogPut) -> int:
    """Store raw bytes in the calling thread; raises Conflict with the expected offset."""
    _check_writer(principal, put.task_id, None)
    _check_limit(put.offset + len(put.data))
    try:
        end = store().append_stream(put.task_id, STREAM_IDS[put.stream], put.offset, put.data)
    except Gap as gap:
        raise Conflict(
            _("The log continues at offset %(expected)d.") % {"expected": gap.expected},
            code="log_gap",
            fields={"offset": [str(gap.expected)]},
        ) from gap
    _announce(principal, put.task_id, reader(put.task_id).size())
    return end


def forget_writers() -> None:
    """Ask the database again for every task."""
    with _guard:
        _writers.clear()


def _check_writer(principal: AgentPrincipal, task_id: int, offer: int | None) -> None:
    """Raise NotFound for a task of somebody else, Conflict for an offer that is void.

    Who runs a task never changes once it was told to run, so the answer is remembered.
    """
    with _guard:
        writer = _writers.get(task_id)
    if writer is None:
        writer = _read_writer(principal, task_id)
    if writer.agent_id != principal.agent_id:
        raise NotFound(_("There is no such task."))
    if offer is not None and writer.offer != offer:
        raise Conflict(_("This offer of the task is void."), code="stale_offer")


def _read_writer(principal: AgentPrincipal, task_id: int) -> _Writer:
    """Read who runs a task and remember it; raises NotFound, or Conflict before the start."""
    row = (
        Task.objects.of_tenant(principal.tenant_id)
        .filter(pk=task_id)
        .values_list("agent_id", "offer", "status")
        .first()
    )
    if row is None or row[0] is None:
        raise NotFound(_("There is no such task."))
    agent_id, offer, status = row
    if status != Status.RUNNING and status not in FINAL:
        raise Conflict(_("The task has not started."), code="not_started")
    writer = _Writer(agent_id, offer)
    with _guard:
        _writers[task_id] = writer
        if len(_writers) > MAX_REMEMBERED:
            _writers.popitem(last=False)
    return writer


def _check_limit(end: int) -> None:
    """Raise TooLarge beyond the size that agents keep to."""
    if end > settings.LOG_LIMIT_BYTES + LIMIT_SLACK_BYTES:
        raise TooLarge(_("The log exceeds the server's limit."))


def _announce(principal: AgentPrincipal, task_id: int, stored: int) -> None:
    """Ring for the viewers; let the host forget the task if these were its last bytes."""
    events.log_grew(task_id, tenant_id=principal.tenant_id)
    note_stored(task_id, stored)
