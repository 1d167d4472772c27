"""One host: its facts, what it runs, the system beneath, the last hour."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from agents.cards import card, mounts
from agents.portrait import portrait
from agents.views.access import host_for
from dialer_platform.accounts.principal import principal_of
from dialer_platform.console import extension
from dialer_platform.console.htmx import answers_errors, render_page


@require_safe
@answers_errors
def agent_detail(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Show a host, also one whose credential was revoked."""
    agent = host_for(request, agent_id)
    context = {
        "agent": agent,
        "card": card(portrait(agent)),
        "mounts": mounts(agent.system),
        "panels": extension.panels_for(extension.AGENT_PAGE, principal_of(request), agent),
    }
    return render_page(
        request, "agents/agent_detail.html", context, fragment="agents/_agent_detail.html"
    )
