"""The list of tasks: filters in the URL, counts, one page of rows."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from agents.models import Agent
from dialer_platform.accounts.principal import Principal
from dialer_platform.console.htmx import answers_errors, render_page
from tasks.choices import Kind
from tasks.models import Task
from tasks.page_filter import task_page
from tasks.views.access import allowed
from templates_app.models import Template

RECENT_TASKS = 1_000
MAX_SUGGESTIONS = 100


@require_GET
@answers_errors
def task_list(request: HttpRequest) -> HttpResponse:
    """Show one page of the tenant's tasks."""
    principal = allowed(request, "task.view")
    found = task_page(Task.objects.visible_to(principal), request.GET)
    context = {
        "list": found,
        "template_types": template_types(principal),
        "kinds": Kind.choices,
        "agents": Agent.objects.visible_to(principal).hosts().order_by("name", "id")[:500],
        "has_agents": Agent.objects.visible_to(principal).hosts().enrolled().exists(),
    }
    return render_page(
        request, "tasks/task_list.html", context, fragment="tasks/_task_list_update.html"
    )


def template_types(principal: Principal) -> list[str]:
    """Return names of templates and the types lately used, for choosing from."""
    names = Template.objects.filter(tenant=principal.tenant).values_list("name", flat=True)
    recent = Task.objects.visible_to(principal).order_by("-id")
    used = recent.values_list("template_type", flat=True)[:RECENT_TASKS]
    return sorted({*names[:MAX_SUGGESTIONS], *used})[:MAX_SUGGESTIONS]
