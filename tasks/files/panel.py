"""What the files panel of a host's page shows: recent transfers, and one preview at a time."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents.models import Agent
from dialer_platform.accounts.principal import Principal
from tasks.choices import Kind
from tasks.files.place import store
from tasks.files.preview import (
    MAX_PREVIEW_BYTES,
    DirectoryPreview,
    Entry,
    FilePreview,
    Preview,
    read_preview,
)
from tasks.models import FileTransfer, StoredFile, Task
from tasks.waiting import reason_sentences

ROWS = 6
MAX_SHOWN_ENTRIES = 1_000
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True, slots=True)
class Crumb:
    """One step of a path."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a directory as the page shows it."""

    name: str
    path: str
    type: str
    size_bytes: int | None
    modified: datetime | None
    mode: str
    owner: str

    @property
    def is_directory(self) -> bool:
        """Whether it can be looked into."""
        return self.type == "directory"


def panel(principal: Principal, agent: Agent) -> dict[str, Any]:
    """Return what the panel shows before anything is browsed."""
    return {"agent": agent, **recent(principal, agent)}


def recent(principal: Principal, agent: Agent) -> dict[str, Any]:
    """Return the newest transfers of a host with their files and sentences."""
    mine = Task.objects.visible_to(principal).on_agent(agent.pk)
    moved = mine.filter(kind__in=[Kind.FILE_UPLOAD, Kind.FILE_DOWNLOAD]).shown()
    tasks = list(moved.order_by("-id")[:ROWS])
    return {
        "transfers": list(zip(tasks, _transfers(tasks), strict=True)),
        "sentences": reason_sentences(tasks),
    }


def preview_context(task: Task) -> dict[str, Any]:
    """Return what the page shows of a preview task; `preview` is None before it is there."""
    transfer = FileTransfer.objects.select_related("stored_file").get(task_id=task.pk)
    preview = preview_of(transfer.stored_file)
    path = preview.path if preview is not None else transfer.path
    shown = {
        "task": task,
        "path": path,
        "crumbs": crumbs(path),
        "preview": preview,
        "is_directory": isinstance(preview, DirectoryPreview),
        "sentence": reason_sentences([task])[task.pk],
    }
    if isinstance(preview, DirectoryPreview):
        rows = [row_of(preview.path, entry) for entry in preview.entries[:MAX_SHOWN_ENTRIES]]
        return {**shown, "rows": rows, "more": len(preview.entries) - len(rows)}
    if isinstance(preview, FilePreview):
        facts = {"modified": moment(preview.modified_at), "mode": mode_words(preview.mode)}
        return {**shown, **facts}
    return shown


def file_context(task: Task) -> Mapping[str, Any]:
    """Return what a task's own page shows of its file; nothing for a script."""
    if not task.moves_a_file:
        return {}
    transfer = FileTransfer.objects.select_related("stored_file").get(task_id=task.pk)
    options = dict(transfer.options)
    bandwidth_mb = options.pop("bandwidth_mb", None)
    return {
        "transfer": transfer,
        "given": {name: value for name, value in options.items() if value},
        "has_bandwidth": bandwidth_mb is not None,
        "bandwidth_mb": f"{bandwidth_mb:g}" if bandwidth_mb else "",
    }


def preview_of(file: StoredFile | None) -> Preview | None:
    """Return the preview that a host sent, None before it is whole."""
    if file is None or not file.complete:
        return None
    try:
        return read_preview(store().read(file.pk, 0, MAX_PREVIEW_BYTES))
    except FileNotFoundError:
        return None  # removed since the row was read


def crumbs(path: str) -> list[Crumb]:
    """Return the steps from the root of a path of any host down to itself."""
    separator = "\\" if _DRIVE.match(path) and "\\" in path else "/"
    root = path[:3] if _DRIVE.match(path) else "/"
    steps, found = (
        [part for part in path[len(root) :].split(separator) if part],
        [Crumb(root, root)],
    )
    for step in steps:
        above = found[-1].path
        found.append(Crumb(step, _join(above, step, separator)))
    return found


def row_of(directory: str, entry: Entry) -> Row:
    """Return an entry with the path that opens it."""
    separator = "\\" if _DRIVE.match(directory) and "\\" in directory else "/"
    return Row(
        name=entry.name,
        path=_join(directory, posixpath.basename(entry.name) or entry.name, separator),
        type=entry.type,
        size_bytes=entry.size_bytes if entry.type == "file" else None,
        modified=moment(entry.modified_at),
        mode=mode_words(entry.mode),
        owner=entry.owner,
    )


def moment(value: float | str | None) -> datetime | None:
    """Return a time that a host says, None for what is none."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        return datetime.fromtimestamp(value, tz=UTC) if value is not None else None
    except (ValueError, OverflowError, OSError):
        return None


def mode_words(mode: int | str | None) -> str:
    """Return permission bits as octal digits, whatever of both a host sends."""
    if isinstance(mode, int):
        return f"{mode & 0o7777:04o}"
    return mode or ""


def _join(directory: str, name: str, separator: str) -> str:
    """Return the path of an entry."""
    return f"{directory.rstrip(separator)}{separator}{name}"


def _transfers(tasks: Sequence[Task]) -> list[FileTransfer]:
    """Return the transfer of each task, with one query."""
    found = FileTransfer.objects.filter(task__in=[task.pk for task in tasks])
    by_task = {one.task_id: one for one in found.select_related("stored_file")}
    return [by_task[task.pk] for task in tasks]
