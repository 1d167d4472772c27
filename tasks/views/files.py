"""The files panel of a host's page: browse, look, fetch, and what was moved lately.

Each act is a task like any other; without HTMX the browser is sent to that task's page.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from agents.models import Agent
from dialer_platform.accounts.principal import Principal
from dialer_platform.console.htmx import acted, answers_errors, go_to, is_fragment, render_fragment
from dialer_platform.errors import DomainError, Invalid, NotFound
from tasks.choices import Kind
from tasks.files import panel
from tasks.models import Task
from tasks.services.submit import create_task
from tasks.views.access import allowed, task_for
from tasks.views.detail import last_lines

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 16 * 1024


@require_GET
@answers_errors
def recent(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Show the newest transfers of a host; 204 when nothing changed."""
    principal = allowed(request, "task.view")
    agent = _host(principal, agent_id)
    context = {"agent": agent, **panel.recent(principal, agent)}
    return render_fragment(request, "tasks/_files_recent.html", context)


@require_POST
@answers_errors
def browse(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Ask a host to show a path, and show that it is being asked."""
    order: dict[str, Any] = {"head_bytes": HEAD_BYTES, "tail_bytes": TAIL_BYTES}
    task = _submit(request, agent_id, Kind.FILE_PREVIEW, order)
    if not is_fragment(request):
        return go_to(request, task.get_absolute_url())
    return _view(request, task)


@require_GET
@answers_errors
def view_preview(request: HttpRequest, task_id: int) -> HttpResponse:
    """Show what a host sent, or that it has not yet, or why it will not."""
    task = task_for(request, task_id)
    if task.kind != Kind.FILE_PREVIEW:
        raise NotFound(_("There is no such preview."))
    return _view(request, task)


@require_POST
@answers_errors
def fetch(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Fetch a file of a host, or a directory as an archive."""
    # By HTMX with the form, without it in the address the button sends the form to.
    is_archive = request.POST.get("archive") == "true" or "archive" in request.GET
    task = _submit(request, agent_id, Kind.FILE_DOWNLOAD, {"archive": is_archive})
    if not is_fragment(request):
        return go_to(request, task.get_absolute_url())
    return acted(request, _("Fetching it as #%d.") % task.pk, back=task.get_absolute_url())


def _submit(request: HttpRequest, agent_id: str, kind: Kind, order: dict[str, Any]) -> Task:
    """Submit a task that fetches the path of the form; raises Invalid with its one sentence."""
    principal = allowed(request, "task.submit")
    agent = _host(principal, agent_id)
    path = request.POST.get("path", "").strip()
    fields = {"kind": kind.value, "agent_id": agent.pk, "file": {"path": path, **order}}
    try:
        task = create_task(principal=principal, fields=fields)
    except Invalid as error:
        raise Invalid(_first_sentence(error), fields=error.fields) from error
    return task_for(request, task.pk)


def _view(request: HttpRequest, task: Task) -> HttpResponse:
    """Return the fragment of a preview."""
    agent = task.agent or task.wanted_agent
    words = last_lines(task) if task.status == "failed" else ""
    context = {"agent": agent, "last_lines": words, **panel.preview_context(task)}
    return render_fragment(request, "tasks/_files_view.html", context)


def _host(principal: Principal, agent_id: str) -> Agent:
    """Return a host of the tenant; raises NotFound."""
    agent = Agent.objects.visible_to(principal).hosts().filter(pk=agent_id).first()
    if agent is None:
        raise NotFound(_("There is no such agent."))
    return agent


def _first_sentence(error: DomainError) -> str:
    """Return what is wrong with the path, for a person who filled one field."""
    lines = [line for sentences in error.fields.values() for line in sentences]
    return lines[0] if lines else error.detail
