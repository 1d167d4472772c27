"""Transfers: what a task of a file kind moves, opened with the task, told to its host.

Owns the rows beside a task of a file kind and their wire form. A file that is fetched has
its row from the submission on, so that the task's answer can name it; it is filled by the
host that holds the offer's token (`host_files`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from agent_client.protocol.transfers import Transfer
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid
from tasks.choices import Kind
from tasks.files.orders import name_of
from tasks.files.tokens import token_of
from tasks.models import FileTransfer, StoredFile, Task
from tasks.services.file_share import ensure_share
from tasks.services.stored_files import keep_until

AUDIT_ACTIONS = {
    Kind.FILE_UPLOAD: "file.send",
    Kind.FILE_DOWNLOAD: "file.fetch",
    Kind.FILE_PREVIEW: "file.preview",
}
Row = Mapping[str, Any]


def check_files(principal: Principal, rows: Sequence[Row], prefixes: Sequence[str]) -> None:
    """Raise Invalid when a file to send is unknown in the tenant or has not arrived whole."""
    wanted = {row["file"]["id"] for row in rows if row["kind"] == Kind.FILE_UPLOAD}
    if not wanted:
        return
    found = StoredFile.objects.visible_to(principal).filter(pk__in=wanted)
    complete = dict(found.values_list("pk", "complete"))
    errors: dict[str, list[str]] = {}
    for row, prefix in zip(rows, prefixes, strict=True):
        if row["kind"] == Kind.FILE_UPLOAD and not complete.get(row["file"]["id"]):
            is_known = row["file"]["id"] in complete
            sentence = _("It has not arrived whole yet.") if is_known else _("No such file.")
            errors[f"{prefix}file.id"] = [sentence]
    if errors:
        raise Invalid(_("Some fields are not valid."), fields=errors)


def open_transfers(principal: Principal, tasks: Sequence[Task], rows: Sequence[Row]) -> None:
    """Write the transfers of new tasks, in the transaction of their submission.

    Raises TooLarge when the tenant has no room for what hosts are to send.
    """
    pairs = [(task, row) for task, row in zip(tasks, rows, strict=True) if task.moves_a_file]
    if not pairs:
        return
    if made := sum(task.kind != Kind.FILE_UPLOAD for task, _row in pairs):
        ensure_share(principal.tenant_id, files=made)
    transfers = [_transfer(principal, task, row) for task, row in pairs]
    FileTransfer.objects.bulk_create(transfers)
    sent = StoredFile.objects.filter(pk__in=[row["file"].get("id") for _task, row in pairs])
    sent.update(expires_time=keep_until())
    digests = dict(sent.values_list("pk", "sha256"))
    for transfer, (task, row) in zip(transfers, pairs, strict=True):
        file_id = transfer.stored_file_id or ""
        content = {"file_id": file_id, "sha256": digests[file_id]} if file_id in digests else {}
        detail = {"path": transfer.path, "agent_id": row["agent_id"], **content}
        audit.record(principal, AUDIT_ACTIONS[Kind(task.kind)], task, detail)


def wire_of(task: Task) -> Transfer | None:
    """Return the transfer as the task's host is told it, None for a script."""
    if not task.moves_a_file:
        return None
    transfer = FileTransfer.objects.select_related("stored_file").get(task_id=task.pk)
    options = dict(transfer.options)
    mode = options.pop("mode", None)
    known: dict[str, Any] = {}
    if task.kind == Kind.FILE_UPLOAD and transfer.stored_file is not None:
        file = transfer.stored_file
        known = {"size_bytes": file.size_bytes, "sha256": file.sha256}
    return Transfer(
        id=transfer.pk,
        token=token_of(transfer.pk, task.offer),
        path=transfer.path,
        mode=int(mode, 8) if mode else None,
        **known,
        **options,
    )


def request_of(task: Task) -> dict[str, Any]:
    """Return the `file` that a new task with the same transfer is submitted with."""
    transfer = FileTransfer.objects.get(task_id=task.pk)
    if task.kind == Kind.FILE_UPLOAD and transfer.stored_file_id is None:
        raise Conflict(_("The file is not kept any more; send it to the server again."))
    source = {"id": transfer.stored_file_id or ""} if task.kind == Kind.FILE_UPLOAD else {}
    return {**source, "path": transfer.path, **transfer.options}


def _transfer(principal: Principal, task: Task, row: Row) -> FileTransfer:
    """Return the unsaved transfer of a new task; a file to fetch gets its empty row."""
    order = dict(row["file"])
    path, file_id = order.pop("path"), order.pop("id", None)
    if file_id is None:
        file_id = StoredFile.objects.create(
            tenant_id=principal.tenant_id,
            name=_result_name(task, path, order),
            created_by=principal.user,
            expires_time=keep_until(),
        ).pk
    return FileTransfer(task=task, stored_file_id=file_id, path=path, options=order)


def _result_name(task: Task, path: str, options: Mapping[str, Any]) -> str:
    """Return the name under which people get what the host sends."""
    name = name_of(path)
    if task.kind == Kind.FILE_PREVIEW:
        return f"{name}.json"
    return f"{name}.tar" if options.get("archive") else name
