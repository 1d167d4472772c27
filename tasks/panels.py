"""What the queue adds to the console: navigation, overview, search, the host's page, figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Count, Max, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents import portrait
from agents.models import Agent
from dialer_platform.accounts.principal import Principal
from dialer_platform.console import extension, figures
from tasks.choices import FINAL, TONES, Status
from tasks.files import panel as file_panel
from tasks.models import Task
from tasks.querysets import TaskQuerySet
from tasks.samples import curves
from tasks.waiting import reason_sentences

ROWS = 8
RECENT_HOURS = 24
SEARCHED_SCRIPTS = 20_000
"""Scripts have no index: the newest so many are searched for a word."""
OPEN = (Status.BLOCKED, Status.WAITING)


def tasks_of(principal: Principal) -> TaskQuerySet:
    """Return the tasks of the principal's tenant."""
    return Task.objects.visible_to(principal)


def lately_failed(principal: Principal) -> TaskQuerySet:
    """Return what failed within a day and was not submitted again since, newest first."""
    since = timezone.now() - timedelta(hours=RECENT_HOURS)
    failed = tasks_of(principal).filter(status=Status.FAILED, end_time__gte=since)
    return failed.filter(reruns=None).order_by("-id")


def count_failed(principal: Principal) -> int:
    """Return how many tasks failed within a day."""
    return lately_failed(principal).count()


def stats(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return the numbers at the head of the overview."""
    since = timezone.now() - timedelta(hours=RECENT_HOURS)
    tasks = tasks_of(principal)
    now = dict(
        tasks.filter(status__in=[*OPEN, Status.RUNNING])
        .order_by()
        .values_list("status")
        .annotate(Count("id"))
    )
    return {
        "running": now.get(Status.RUNNING, 0),
        "waiting": now.get(Status.WAITING, 0),
        "blocked": now.get(Status.BLOCKED, 0),
        "failed": count_failed(principal),
        "completed": tasks.filter(status=Status.COMPLETED, end_time__gte=since).count(),
    }


def attention(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return what failed within a day and what runs on silent hosts, each with its sentence."""
    failed = list(lately_failed(principal).shown()[:ROWS])
    silent = list(tasks_of(principal).unreachable().shown().order_by("-id")[:ROWS])
    more = count_failed(principal) - len(failed) if len(failed) == ROWS else 0
    return {**with_sentences([*silent, *failed]), "more": more}


def running(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return what runs, oldest first."""
    return with_sentences(tasks_of(principal).running().shown().order_by("start_time", "id")[:ROWS])


def waiting(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return what waits, in the order in which it will start, with why."""
    rows = tasks_of(principal).filter(status__in=OPEN).shown()
    return with_sentences(rows.order_by("-status", "priority", "id")[:ROWS])


def recent(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return what ended last."""
    rows = tasks_of(principal).filter(status__in=FINAL, end_time__isnull=False).shown()
    return with_sentences(rows.order_by("-end_time")[:ROWS])


def on_agent(principal: Principal, agent: Agent) -> Mapping[str, Any]:
    """Return what a host runs and what it ran last."""
    rows = tasks_of(principal).filter(agent_id=agent.id).shown()
    newest = list(rows.order_by("-id")[: ROWS * 2])
    return {"agent": agent, **with_sentences(newest)}


def files(principal: Principal, agent: Agent) -> Mapping[str, Any]:
    """Return what the files panel of a host begins with."""
    return file_panel.panel(principal, agent)


def with_sentences(rows: Iterable[Task]) -> dict[str, Any]:
    """Return the rows and, by task, the sentence that says where it stands."""
    found = list(rows)
    return {"tasks": found, "sentences": reason_sentences(found)}


def find(principal: Principal, words: str, limit: int) -> Iterable[extension.Hit]:
    """Return the tasks with this id, then those whose name or script contains the words."""
    tasks = tasks_of(principal)
    newest = tasks.aggregate(Max("id"))["id__max"] or 0
    match = Q(name__icontains=words) | Q(
        script_content__icontains=words, id__gt=newest - SEARCHED_SCRIPTS
    )
    number = words.removeprefix("#")
    if number.isdecimal() and len(number) < 18:
        match |= Q(id=int(number))
    columns = tasks.filter(match).order_by("-id").only("id", "name", "status", "template_type")
    for task in columns[:limit]:
        yield extension.Hit(
            f"#{task.pk} {task.name}",
            task.get_absolute_url(),
            task.template_type,
            TONES[Status(task.status)],
            Status(task.status).label,
        )


def progress_of(task_ids: Collection[int]) -> Mapping[int, dict[str, Any] | None]:
    """Return how far these tasks are, for the rows of their sub-agents."""
    running = Task.objects.filter(pk__in=task_ids, status=Status.RUNNING).order_by()
    return dict(running.values_list("pk", "progress"))


def count_by_status() -> Mapping[str, float]:
    """Return the tasks of all tenants that have not ended, by status."""
    unfinished = Task.objects.exclude(status__in=FINAL).order_by()
    found = dict(unfinished.values_list("status").annotate(Count("id")))
    return {status: found.get(status, 0) for status in Status.values if status not in FINAL}


def register() -> None:
    """Add everything to the console."""
    extension.add_nav(
        "tasks",
        extension.NavItem(
            label=_("Tasks"),
            url="/tasks/",
            icon="tasks",
            order=10,
            action="task.view",
            count=count_failed,
            count_title=_("failed within 24 hours"),
        ),
    )
    places = (
        ("stats", extension.OVERVIEW_STATS, 10, stats),
        ("attention", extension.OVERVIEW_ATTENTION, 10, attention),
        ("running", extension.OVERVIEW_MAIN, 10, running),
        ("waiting", extension.OVERVIEW_MAIN, 20, waiting),
        ("recent", extension.OVERVIEW_MAIN, 40, recent),
        ("on_agent", extension.AGENT_PAGE, 10, on_agent),
        ("files", extension.AGENT_TOOLS, 10, files),
    )
    for name, place, order, read in places:
        template = f"tasks/panels/_{name}.html"
        extension.add_panel(
            f"tasks.{name}", extension.Panel(place, order, template, read, "task.view")
        )
    extension.add_search(
        "tasks",
        extension.SearchSource(_("Tasks"), 10, "task.view", find, all_url="/tasks/?name="),
    )
    portrait.register_progress(progress_of)
    figures.add(
        figures.Figure("tasks", "Tasks that have not ended.", count_by_status, label="status")
    )
    figures.add(
        figures.Figure(
            "task_samples_dropped",
            "Samples of running tasks that could not be kept.",
            curves.count_dropped,
            is_counter=True,
        )
    )


register()
