"""States of a task, the moves allowed between them, and how they are drawn."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """What a person sees of a task's life."""

    BLOCKED = "blocked", _("blocked")
    WAITING = "waiting", _("waiting")
    RUNNING = "running", _("running")
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    CANCELED = "canceled", _("canceled")


class Phase(models.TextChoices):
    """The finer step within waiting and running; empty elsewhere."""

    NONE = "", ""
    QUEUED = "queued", _("queued")
    OFFERED = "offered", _("offered")
    STARTING = "starting", _("starting")
    RUNNING = "running", _("running")
    CANCELING = "canceling", _("canceling")


class Reason(models.TextChoices):
    """Why a task ended."""

    NONE = "", ""
    EXIT = "exit", _("ended by itself")
    USER_CANCEL = "user_cancel", _("canceled by a person")
    TIMEOUT = "timeout", _("time limit reached")
    DEPENDENCY_FAILED = "dependency_failed", _("a task it depends on failed")
    START_FAILED = "start_failed", _("could not be started")
    SUPERVISOR_LOST = "supervisor_lost", _("its supervisor died")
    HOST_REBOOT = "host_reboot", _("the host restarted")
    AGENT_LOST = "agent_lost", _("its host vanished")
    OUT_OF_MEMORY = "out_of_memory", _("out of memory")


class Kind(models.TextChoices):
    """What a task does on its host."""

    SCRIPT = "script", _("script")
    FILE_UPLOAD = "file_upload", _("send a file")
    FILE_DOWNLOAD = "file_download", _("fetch a file")
    FILE_PREVIEW = "file_preview", _("look at a file")


TRANSFERS = (Kind.FILE_UPLOAD, Kind.FILE_DOWNLOAD, Kind.FILE_PREVIEW)
"""Kinds that move a file instead of running a script."""


class ScriptType(models.TextChoices):
    """Languages a script may be written in."""

    SHELL = "shell", "shell"
    PYTHON = "python", "python"
    POWERSHELL = "powershell", "powershell"


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})
"""States that never change again."""

OCCUPYING = (Phase.OFFERED, Phase.STARTING, Phase.RUNNING, Phase.CANCELING)
"""Phases in which a task books resources of its agent."""

State = tuple[str, str]
"""(status, phase)."""

BLOCKED: State = (Status.BLOCKED, Phase.NONE)
QUEUED: State = (Status.WAITING, Phase.QUEUED)
OFFERED: State = (Status.WAITING, Phase.OFFERED)
STARTING: State = (Status.RUNNING, Phase.STARTING)
RUNNING: State = (Status.RUNNING, Phase.RUNNING)
CANCELING: State = (Status.RUNNING, Phase.CANCELING)
COMPLETED: State = (Status.COMPLETED, Phase.NONE)
FAILED: State = (Status.FAILED, Phase.NONE)
CANCELED: State = (Status.CANCELED, Phase.NONE)

ALLOWED_MOVES: dict[State, frozenset[State]] = {
    BLOCKED: frozenset({QUEUED, CANCELED}),
    QUEUED: frozenset({OFFERED, BLOCKED, CANCELED}),
    OFFERED: frozenset({QUEUED, STARTING, CANCELED}),
    STARTING: frozenset({RUNNING, CANCELING, COMPLETED, FAILED, CANCELED}),
    RUNNING: frozenset({CANCELING, COMPLETED, FAILED, CANCELED}),
    CANCELING: frozenset({COMPLETED, FAILED, CANCELED}),
    COMPLETED: frozenset(),
    FAILED: frozenset(),
    CANCELED: frozenset(),
}
"""The whole life of a task; services/moves.py is the only reader and the only mover."""

TONES = {
    Status.BLOCKED: "blocked",
    Status.WAITING: "waiting",
    Status.RUNNING: "running",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELED: "canceled",
}
"""Badge classes: colour and shape."""
