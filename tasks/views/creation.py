"""The new task: the form, its check while typing, and the search for dependencies."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dialer_platform.accounts.principal import Principal
from dialer_platform.console.htmx import answers_errors, go_to, render_page
from dialer_platform.errors import DomainError
from tasks import waiting
from tasks.forms import TaskForm, agent_choices, initial_of
from tasks.models import Task
from tasks.services.rerun import fields_of
from tasks.services.submit import create_task
from tasks.views.access import allowed, task_for
from tasks.views.listing import template_types
from templates_app.models import Template

MAX_HITS = 8
MAX_TEMPLATES = 200


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def new_task(request: HttpRequest) -> HttpResponse:
    """Show the form, filled from a template or a task; submit it."""
    principal = allowed(request, "task.submit")
    choices = agent_choices(principal)
    if request.method == "POST":
        form = TaskForm(request.POST, agents=choices)
        task = submitted(principal, form) if form.is_valid() else None
        if task is not None:
            return go_to(request, task.get_absolute_url(), note=_("Submitted as #%d.") % task.pk)
        return _form_answer(request, principal, form, status=422)
    form = TaskForm(initial=initial_for(request, principal), agents=choices)
    return _form_answer(request, principal, form)


@require_POST
@answers_errors
def check(request: HttpRequest) -> HttpResponse:
    """Say what is wrong with the form so far, and when the task could start."""
    principal = allowed(request, "task.submit")
    data = request.POST.copy()
    if "script_content" not in data and data.get("script_size", "0") != "0":
        data["script_content"] = "-"  # a large script is not sent with every key
    form = TaskForm(data, agents=agent_choices(principal))
    hint = waiting.preview(principal, form.request_fields) if form.is_valid() else ""
    return render(request, "tasks/_form_check.html", {"form": form, "hint": hint})


@require_GET
@answers_errors
def search_dependencies(request: HttpRequest) -> HttpResponse:
    """Suggest tasks to run after, by id or name; and name those already chosen."""
    principal = allowed(request, "task.submit")
    typed = request.GET.get("depends_on", "")
    *done, last = [part.strip().lstrip("#") for part in typed.replace("，", ",").split(",")]
    tasks = Task.objects.visible_to(principal).order_by("-id").only("id", "name", "status")
    chosen = tasks.filter(pk__in=_ids([*done, last])[:100])
    matching = tasks.filter(Q(name__icontains=last) | Q(pk__in=_as_id(last)))
    context = {"chosen": chosen, "hits": matching.exclude(pk__in=_ids(done))[:MAX_HITS]}
    return render(request, "tasks/_dependency_hits.html", context)


def submitted(principal: Principal, form: TaskForm) -> Task | None:
    """Submit the form's task; a refusal is shown in the form."""
    try:
        return create_task(principal=principal, fields=form.request_fields)
    except DomainError as error:
        form.add_domain_error(error)
        return None


def initial_for(request: HttpRequest, principal: Principal) -> dict[str, Any]:
    """Return what the form starts with: a template's script, or a task's whole request."""
    rerun_id, template_id = request.GET.get("rerun", ""), request.GET.get("template", "")
    if _as_id(rerun_id):
        return initial_of(fields_of(task_for(request, int(rerun_id))))
    if _as_id(template_id):
        template = Template.objects.filter(tenant=principal.tenant, pk=int(template_id)).first()
        if template is not None:
            return {
                "name": template.name,
                "template_type": template.name,
                "script_type": template.script_type,
                "script_content": template.script_content,
            }
    return {}


def _form_answer(
    request: HttpRequest, principal: Principal, form: TaskForm, status: int = 200
) -> HttpResponse:
    """Answer with the form as page or fragment."""
    templates = Template.objects.filter(tenant=principal.tenant).order_by("name")[:MAX_TEMPLATES]
    known = {template.name for template in templates}
    context = {
        "form": form,
        "templates": templates,
        "other_types": [name for name in template_types(principal) if name not in known],
    }
    return render_page(
        request, "tasks/task_new.html", context, fragment="tasks/_task_form.html", status=status
    )


def _as_id(text: str) -> list[int]:
    """Return the id that the text is, if it is one."""
    return [int(text)] if text.isascii() and text.isdigit() and len(text) < 19 else []


def _ids(parts: list[str]) -> list[int]:
    """Return the ids among the parts."""
    return [number for part in parts for number in _as_id(part)]
