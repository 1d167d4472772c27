"""What a person does to a host: drain, resume, revoke. Each is one service call."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from agents.services.main_agents import drain_agent, resume_agent, revoke_agent
from agents.views.access import host_for
from dialer_platform.accounts.principal import principal_of
from dialer_platform.console.htmx import acted, answers_errors


@require_POST
@answers_errors
def drain(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Give the host no new tasks."""
    agent = host_for(request, agent_id, "agent.drain")
    drain_agent(agent, by=principal_of(request), reason=request.POST.get("reason", "").strip())
    note = _("%(name)s gets no new tasks; what runs goes on.") % {"name": agent.name}
    return acted(request, note, back="/agents/")


@require_POST
@answers_errors
def resume(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Give the host tasks again."""
    agent = host_for(request, agent_id, "agent.resume")
    resume_agent(agent, by=principal_of(request))
    return acted(request, _("%(name)s takes tasks again.") % {"name": agent.name}, back="/agents/")


@require_POST
@answers_errors
def revoke(request: HttpRequest, agent_id: str) -> HttpResponse:
    """End the host's credential."""
    agent = host_for(request, agent_id, "agent.revoke")
    revoke_agent(agent, by=principal_of(request))
    note = _("%(name)s may no longer speak to this server.") % {"name": agent.name}
    return acted(request, note, back="/agents/")
