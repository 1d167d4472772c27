"""The list of probes and the list of incidents."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from agents.models import Agent
from dialer_platform.console.htmx import answers_errors, render_page
from tasks.probes import kinds
from tasks.probes.models import Incident
from tasks.probes.pages.access import allowed
from tasks.probes.pages.rows import probe_page

INCIDENTS_PER_PAGE = 50


@require_safe
@answers_errors
def probe_list(request: HttpRequest) -> HttpResponse:
    """Show one page of the tenant's probes."""
    principal = allowed(request, "probe.view")
    hosts = Agent.objects.visible_to(principal).hosts().enrolled()
    context = {
        "list": probe_page(principal, request.GET),
        "kinds": kinds.names(),
        "agents": hosts.order_by("name", "id")[:500],
        "has_agents": hosts.exists(),
    }
    return render_page(
        request, "probes/probe_list.html", context, fragment="probes/_probe_list_update.html"
    )


@require_safe
@answers_errors
def incident_list(request: HttpRequest) -> HttpResponse:
    """Show the outages of the tenant, newest first; ?open=1 those that last."""
    principal = allowed(request, "probe.view")
    rows = Incident.objects.filter(tenant_id=principal.tenant_id).select_related("probe")
    is_open = request.GET.get("open") == "1"
    if is_open:
        rows = rows.filter(ended_at=None)
    paginator = Paginator(rows.order_by("-started_at", "-id"), INCIDENTS_PER_PAGE)
    page = paginator.get_page(request.GET.get("page"))
    context = {
        "page": page,
        "elided_pages": list(paginator.get_elided_page_range(page.number)),
        "is_open": is_open,
    }
    return render_page(
        request, "probes/incident_list.html", context, fragment="probes/_incidents.html"
    )
