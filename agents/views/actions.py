"""What a person does to a host for good: revoke. One service call."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from agents.services.main_agents import revoke_agent
from agents.views.access import host_for
from dialer_platform.accounts.principal import principal_of
from dialer_platform.console.htmx import acted, answers_errors


@require_POST
@answers_errors
def revoke(request: HttpRequest, agent_id: str) -> HttpResponse:
    """End the host's credential."""
    agent = host_for(request, agent_id, "agent.revoke")
    revoke_agent(agent, by=principal_of(request))
    note = _("%(name)s may no longer speak to this server.") % {"name": agent.name}
    return acted(request, note, back="/agents/")
