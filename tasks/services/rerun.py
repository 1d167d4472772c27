"""Rerun: a new task with the same request; the old one keeps its record."""

from __future__ import annotations

from typing import Any

from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.storage import write_transaction
from tasks.models import Task
from tasks.services.submit import create_task
from tasks.services.transfers import request_of

COPIED = (
    "kind",
    "name",
    "template_type",
    "script_type",
    "script_content",
    "priority",
    "cpu_cores",
    "gpu_count",
    "gpu_memory",
    "labels",
    "timeout",
    "env",
    "working_dir",
    "merge_output",
    "run_as",
    "limits",
)


def rerun_task(task: Task, *, by: Principal) -> Task:
    """Submit the task's request again and return the new task.

    Dependencies that completed stay satisfied. One that failed would cancel the new task
    at once, so those are left out: whoever asks for a rerun knows that they failed.
    """
    with write_transaction():
        new = create_task(principal=by, fields=fields_of(task), rerun_of=task)
        audit.record(by, "task.rerun", task, {"new": new.pk})
    return new


def fields_of(task: Task) -> dict[str, Any]:
    """Return the request of a task as submit takes it."""
    fields: dict[str, Any] = {name: getattr(task, name) for name in COPIED}
    fields["agent_id"] = _wanted(task)
    if task.moves_a_file:
        fields["file"] = request_of(task)
    edges = task.dependency_edges.exclude(depends_on__status__in=("failed", "canceled"))
    fields["depends_on"] = list(edges.order_by("id").values_list("depends_on_id", flat=True))
    return fields


def _wanted(task: Task) -> str:
    """Return the host the submitter named, unless it was revoked since."""
    wanted = task.wanted_agent
    return wanted.pk if wanted is not None and wanted.revoked_at is None else ""
