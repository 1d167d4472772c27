"""The hosts' side of transfers: who may read or fill which file, and what comes next.

A token opens exactly one transfer, of the offer it was made for, while that offer's task
runs on a host that was not revoked. What it opens is remembered for two seconds, so that a
chunk costs no query; whatever changes the database looks again. Refusals are not
remembered: they are counted instead.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from django.utils.translation import gettext as _

from agent_client.protocol.transfers import MAX_CHUNK_BYTES, TransferEnd, TransferState
from dialer_platform.errors import Conflict, Invalid, NotFound, Unauthenticated
from tasks.choices import Kind, Status
from tasks.files import tokens
from tasks.files.place import store
from tasks.files.preview import MAX_PREVIEW_BYTES, read_preview
from tasks.models import FileTransfer, StoredFile
from tasks.services import file_share
from tasks.services.stored_files import DigestMismatch, append, check_size, complete_file

FRESH_SECONDS = 2.0
MAX_REMEMBERED = 4_096


class Grant(NamedTuple):
    """What one token opens: one file, in the direction of its kind.

    used_bytes is what the files of its tenant took when the database was asked.
    """

    transfer_id: str
    kind: str
    file_id: str
    used_bytes: int = 0
    agent_id: str = ""


_guard = threading.Lock()
_known: OrderedDict[str, tuple[float, Grant]] = OrderedDict()


def remembered(token: str) -> Grant | None:
    """Return what the token opened a moment ago; never asks the database."""
    with _guard:
        entry = _known.get(token)
    return entry[1] if entry is not None and entry[0] > time.monotonic() else None


def look_up(token: str) -> Grant:
    """Return what the token opens now; raises Unauthenticated, Conflict or NotFound."""
    transfer = _transfer_of(token)
    task = transfer.task
    if task.agent is not None and task.agent.revoked_at:
        raise Unauthenticated(_("The agent's credential was revoked."), code="revoked")
    if task.is_final:
        raise Conflict(_("The task has ended; its transfer is closed."), code="task_ended")
    if task.status != Status.RUNNING:
        raise Conflict(_("The task has not started."), code="not_started")
    if transfer.stored_file_id is None:
        raise NotFound(_("There is no such file."))
    used_bytes = 0 if task.kind == Kind.FILE_UPLOAD else file_share.used_bytes(task.tenant_id)
    grant = Grant(transfer.pk, task.kind, transfer.stored_file_id, used_bytes, task.agent_id or "")
    with _guard:
        _known[token] = (time.monotonic() + FRESH_SECONDS, grant)
        _known.move_to_end(token)
        if len(_known) > MAX_REMEMBERED:
            _known.popitem(last=False)
    return grant


def forget() -> None:
    """Ask the database again for every token."""
    with _guard:
        _known.clear()


def state_of(grant: Grant) -> TransferState:
    """Return where the server's side stands."""
    file = _file_of(grant)
    return TransferState(
        next=store().received(file.pk),
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        complete=file.complete,
    )


def read_chunk(grant: Grant, offset: int, limit: int) -> bytes:
    """Return bytes of a file that goes to the host, none past its end."""
    if grant.kind != Kind.FILE_UPLOAD:
        raise Conflict(_("This transfer goes to the server, not to the host."))
    return store().read(grant.file_id, offset, min(limit, MAX_CHUNK_BYTES))


def put_chunk(grant: Grant, offset: int, data: bytes, sha256: str) -> int:
    """Store a chunk from the host and return what comes next; raises TooLarge, DiskFull."""
    if grant.kind == Kind.FILE_UPLOAD:
        raise Conflict(_("This transfer goes to the host, not to the server."))
    check_size(offset + len(data), limit_bytes=_limit_of(grant))
    _ensure_share(grant, offset + len(data))
    # The row is not read: what the store needs is the id, and it knows what is whole.
    return append(StoredFile(pk=grant.file_id), offset, data, sha256)


def end(grant: Grant, message: TransferEnd) -> TransferState:
    """Check and keep the whole file; saying it twice changes nothing.

    Raises OffsetGap when bytes are missing, DigestMismatch or Invalid when it is not what
    it should be: then it begins anew.
    """
    if grant.kind == Kind.FILE_UPLOAD:
        return state_of(grant)
    check_size(message.size_bytes, limit_bytes=_limit_of(grant))
    file = _file_of(grant)
    if file.complete:
        _compare(file, message)
        return state_of(grant)
    if grant.kind == Kind.FILE_PREVIEW:
        _check_preview(file)
    # That somebody looked is in the audit trail with the task; what was shown is not kept long.
    by = None if grant.kind == Kind.FILE_PREVIEW else f"agent:{grant.agent_id}"
    complete_file(file, message.size_bytes, message.sha256, by=by)
    return state_of(grant)


def _transfer_of(token: str) -> FileTransfer:
    """Return the transfer whose current offer the token belongs to; raises Unauthenticated."""
    transfer_id = tokens.transfer_id_in(token)
    found = FileTransfer.objects.select_related("task__agent").filter(pk=transfer_id or "")
    of_task = ("task__status", "task__offer", "task__kind", "task__tenant_id")
    of_host = "task__agent__revoked_at"
    row = found.only("id", "stored_file_id", *of_task, of_host).first()
    # A transfer that does not exist costs the same derivation as a wrong token.
    is_right = tokens.opens(token, transfer_id or "", row.task.offer if row else 0)
    if row is None or not is_right:
        raise Unauthenticated(_("The transfer's token is not valid."), code="invalid_token")
    return row


def _file_of(grant: Grant) -> StoredFile:
    """Return the file as it is stored now; raises NotFound when it was removed."""
    file = StoredFile.objects.filter(pk=grant.file_id).first()
    if file is None:
        raise NotFound(_("There is no such file."))
    return file


def _limit_of(grant: Grant) -> int | None:
    """Return how large the file may be; None is the server's own limit."""
    return MAX_PREVIEW_BYTES if grant.kind == Kind.FILE_PREVIEW else None


def _ensure_share(grant: Grant, size_bytes: int) -> None:
    """Raise TooLarge when the file may not become as large; a repeat is never too much."""
    growth = size_bytes - store().received(grant.file_id)
    if growth > 0:
        file_share.ensure_bytes(grant.used_bytes + growth)


def _compare(file: StoredFile, message: TransferEnd) -> None:
    """Raise DigestMismatch when a late end is not that of the file.

    By its row alone: a host that says the end again and again must not have the server read
    the whole file each time, on one of the few threads that all tenants share.
    """
    digest = message.sha256.lower() or file.sha256
    if (message.size_bytes, digest) != (file.size_bytes, file.sha256):
        raise DigestMismatch(_("The file is whole already, and it is another one."))


def _check_preview(file: StoredFile) -> None:
    """Refuse a preview that pages could not show, and let the host begin anew."""
    try:
        data = store().read_part(file.pk, MAX_PREVIEW_BYTES)
    except FileNotFoundError:
        data = b""
    if read_preview(data) is None:
        store().begin_anew(file.pk)
        raise Invalid(_("This is no preview of a file or directory."), code="malformed")
