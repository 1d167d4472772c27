"""The agents page: every host of the tenant with its sub-agents, on one page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from agents.cards import cards, summary
from agents.models import Agent
from agents.portrait import portraits
from agents.views.access import allowed
from dialer_platform.console.htmx import answers_errors, render_page


@require_safe
@answers_errors
def agent_list(request: HttpRequest) -> HttpResponse:
    """Show the hosts that may speak, online ones first."""
    principal = allowed(request, "agent.view")
    hosts = Agent.objects.visible_to(principal).hosts().enrolled().with_running_sub_agents()
    found = cards(portraits(hosts))
    context = {"cards": found, "summary": summary(found)}
    return render_page(
        request, "agents/agent_list.html", context, fragment="agents/_agent_list.html"
    )
