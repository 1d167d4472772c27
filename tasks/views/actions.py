"""What a person does to tasks: cancel, rerun, one or many. Each is one service call."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.console.htmx import acted, answers_errors, go_to
from dialer_platform.errors import Invalid
from tasks.models import Task
from tasks.services.bandwidth import change_bandwidth
from tasks.services.cancel import cancel_task, cancel_tasks
from tasks.services.rerun import rerun_task
from tasks.views.access import allowed, task_for

MAX_CHOSEN = 200


@require_POST
@answers_errors
def cancel(request: HttpRequest, task_id: int) -> HttpResponse:
    """Cancel a task, or ask its host to."""
    task = cancel_task(task_for(request, task_id, "task.cancel"), by=principal_of(request))
    note = _("#%(id)d is canceled.") if task.is_final else _("#%(id)d is being stopped.")
    return acted(request, note % {"id": task.pk}, back=task.get_absolute_url())


@require_POST
@answers_errors
def rerun(request: HttpRequest, task_id: int) -> HttpResponse:
    """Submit a task again and go to the new one."""
    new = rerun_task(task_for(request, task_id, "task.rerun"), by=principal_of(request))
    return go_to(request, new.get_absolute_url(), note=_("Submitted again as #%d.") % new.pk)


@require_POST
@answers_errors
def bandwidth(request: HttpRequest, task_id: int) -> HttpResponse:
    """Give a transfer another limit."""
    task = task_for(request, task_id, "task.change")
    wanted = number_of(request.POST.get("bandwidth_mb", ""))
    change_bandwidth(task, by=principal_of(request), bandwidth_mb=wanted)
    note = _("The bandwidth of #%(id)d is changed.") % {"id": task.pk}
    return acted(request, note, back=task.get_absolute_url())


def number_of(text: str) -> float | str:
    """Return the number a person typed, the text itself for what is none."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return text


@require_POST
@answers_errors
def bulk(request: HttpRequest) -> HttpResponse:
    """Cancel or rerun the chosen tasks of the list."""
    ids = [int(text) for text in request.POST.getlist("ids") if is_id(text)][:MAX_CHOSEN]
    if not ids:
        raise Invalid(_("Choose at least one task."))
    run = {"cancel": _cancel_all, "rerun": _rerun_all}.get(request.POST.get("action", ""))
    if run is None:
        raise Invalid(_("Choose what to do with the tasks."))
    return acted(request, run(request, ids), back="/tasks/")


def _cancel_all(request: HttpRequest, ids: list[int]) -> str:
    """Cancel those that have not ended and say how many."""
    principal = allowed(request, "task.cancel")
    open_ids = [task.pk for task in _chosen(principal, ids) if not task.is_final]
    cancel_tasks(open_ids, by=principal)
    text = ngettext("%d task is canceled.", "%d tasks are canceled.", len(open_ids))
    return text % len(open_ids)


def _rerun_all(request: HttpRequest, ids: list[int]) -> str:
    """Submit each again, oldest first, and say how many."""
    principal = allowed(request, "task.rerun")
    new = [rerun_task(task, by=principal) for task in _chosen(principal, ids)]
    return ngettext("%d task is submitted again.", "%d tasks are submitted again.", len(new)) % len(
        new
    )


def _chosen(principal: Principal, ids: list[int]) -> list[Task]:
    """Return the chosen tasks of the tenant, oldest first; foreign ids are not there."""
    return list(Task.objects.visible_to(principal).filter(pk__in=ids).order_by("id"))


def is_id(text: str) -> bool:
    """Tell whether a text could be the id of a task: digits that fit the database."""
    return text.isascii() and text.isdigit() and len(text) < 19
