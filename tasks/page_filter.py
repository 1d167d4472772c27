"""The task list as a page: the filters of the API, and what the page needs besides the rows.

Owns how many tasks of each state the other filters leave, the order, and the sentences of
the rows. The number of queries does not depend on the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.http import QueryDict

from tasks.choices import TONES, Status
from tasks.filters import TaskFilter
from tasks.models import Task
from tasks.querysets import TaskQuerySet
from tasks.waiting import reason_sentences

PAGE_SIZE = 50
TEXT_FILTERS = ("kind", "name", "script", "template_type", "agent_id", "priority")
ORDERINGS = ("id", "name", "priority", "created_time", "duration_seconds")


@dataclass(frozen=True, slots=True)
class StatusChip:
    """One state with how many tasks have it under the other filters."""

    status: str
    label: str
    tone: str
    count: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of the filtered list."""

    page: Page[Task]
    elided: list[int | str]
    sentences: dict[int, str]
    chips: list[StatusChip]
    count: int
    total: int
    data: QueryDict
    is_filtered: bool


def task_page(tasks: TaskQuerySet, data: QueryDict) -> TaskPage:
    """Return a page of the tasks as the query string asks; a wrong value filters nothing."""
    others = data.copy()
    others.pop("status", None)
    without_status = TaskFilter(others, queryset=tasks).qs
    counts = without_status.order_by().counts_by_status()
    chosen = [status for status in data.getlist("status") if status in Status.values]
    count = sum(counts[status] for status in chosen or Status.values)
    rows = without_status.filter(status__in=chosen) if chosen else without_status
    paginator = Paginator(_ordered(rows, data.get("ordering", "")).shown(), PAGE_SIZE)
    paginator.count = count  # the chips' query has counted already
    page = paginator.get_page(data.get("page"))
    return TaskPage(
        page=page,
        elided=list(paginator.get_elided_page_range(page.number)),
        sentences=reason_sentences(list(page.object_list)),
        chips=_chips(counts, chosen),
        count=count,
        total=sum(counts.values()),
        data=data,
        is_filtered=bool(chosen or any(data.get(name) for name in TEXT_FILTERS)),
    )


def _ordered(rows: TaskQuerySet, ordering: str) -> TaskQuerySet:
    """Return the rows in the asked order, newest first by default."""
    if ordering.removeprefix("-") not in ORDERINGS:
        return rows.order_by("-id")
    return rows.order_by(ordering, "-id")


def _chips(counts: dict[str, int], chosen: Iterable[str]) -> list[StatusChip]:
    """Return the states in the order in which people look for them."""
    order = ("running", "waiting", "blocked", "failed", "completed", "canceled")
    return [
        StatusChip(
            status=status,
            label=str(Status(status).label),
            tone=TONES[Status(status)],
            count=counts[status],
            is_chosen=status in chosen,
        )
        for status in order
    ]
