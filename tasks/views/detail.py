"""One task: as a page, as a drawer over the list, and the part of both that is live."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from dialer_platform.console.htmx import answers_errors, render_fragment, render_page
from tasks.choices import Kind
from tasks.files.panel import file_context, preview_context
from tasks.logs.files import reader
from tasks.models import Task
from tasks.samples import files
from tasks.samples.charts import charts
from tasks.views.access import task_for
from tasks.waiting import reason_sentence

MAX_EVENTS = 200
MAX_CHIPS = 30
BANNER_LINES = 6
BANNER_BYTES = 2_048
ESCAPES = re.compile(
    r"\x1b(?:\[[0-9;:?<=>!]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b-\x1f]"
)


@require_GET
@answers_errors
def task_detail(request: HttpRequest, task_id: int) -> HttpResponse:
    """Show a task with its log; HTMX gets it for the drawer."""
    task = task_for(request, task_id)
    context = {**detail_context(task), "look": look_of(task)}
    return render_page(request, "tasks/task_detail.html", context, fragment="tasks/_drawer.html")


@require_GET
@answers_errors
def task_live(request: HttpRequest, task_id: int) -> HttpResponse:
    """Show the part that changes: head, facts, timeline; 204 when it did not."""
    task = task_for(request, task_id)
    return render_fragment(request, "tasks/_task_live.html", detail_context(task))


@require_GET
@answers_errors
def task_samples(request: HttpRequest, task_id: int) -> HttpResponse:
    """Show the curves of what a task used; 204 when they did not change."""
    task = task_for(request, task_id)
    return render_fragment(request, "tasks/_task_samples.html", samples_context(task))


def detail_context(task: Task) -> dict[str, Any]:
    """Return what the pages of one task show."""
    dependents = task.dependents.order_by("id")[: MAX_CHIPS + 1]
    return {
        "task": task,
        "dependencies": [edge.depends_on for edge in task.dependency_edges.all()][:MAX_CHIPS],
        "dependents": dependents[:MAX_CHIPS],
        "reruns": task.reruns.order_by("id")[:MAX_CHIPS],
        "events": task.events.order_by("id")[:MAX_EVENTS],
        "sentence": reason_sentence(task),
        "last_lines": last_lines(task) if task.status == "failed" else "",
        **samples_context(task),
        **file_context(task),
    }


def look_of(task: Task) -> dict[str, Any] | None:
    """Return what the host shows, for a task that looks at a path; None for every other.

    Who browses a host without script, or before the script was ready, comes here: the page
    must show what was asked for, and fills itself once the host has answered.
    """
    if task.kind != Kind.FILE_PREVIEW:
        return None
    return {"agent": task.agent or task.wanted_agent, **preview_context(task)}


def samples_context(task: Task) -> dict[str, Any]:
    """Return what a task's curves show."""
    started_at = task.start_time.timestamp() if task.start_time else None
    return {"task": task, "charts": charts(files.read(task.pk), started_at=started_at)}


def last_lines(task: Task) -> str:
    """Return the end of a failed task's output, for its banner."""
    tail = reader(task.pk).tail(BANNER_BYTES).data.decode(errors="replace")
    lines = [_as_drawn(line) for line in tail.split("\n")]
    return "\n".join([line for line in lines if line.strip()][-BANNER_LINES:])


def _as_drawn(line: str) -> str:
    """Return a line as a terminal would leave it: the last rewrite, without sequences."""
    return ESCAPES.sub("", line.rstrip("\r").rpartition("\r")[2])
