"""Who may do what on the pages of hosts; a foreign or unknown host is missing (404)."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _

from agents.models import Agent
from dialer_platform.accounts.permissions import can
from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.errors import Forbidden, NotFound


def allowed(request: HttpRequest, action: str) -> Principal:
    """Return the principal if its role allows the action; raises Forbidden."""
    principal = principal_of(request)
    if not can(principal, action):
        raise Forbidden(_("Your role does not allow this."))
    return principal


def host_for(request: HttpRequest, agent_id: str, action: str = "agent.view") -> Agent:
    """Return a host of the tenant with its sub-agents; raises NotFound, Forbidden."""
    principal = principal_of(request)
    hosts = Agent.objects.visible_to(principal).hosts().with_running_sub_agents()
    agent: Agent | None = hosts.filter(id=agent_id).first()
    if agent is None:
        raise NotFound(_("There is no such agent."))
    if not can(principal, action, agent):
        raise Forbidden(_("Your role does not allow this."))
    return agent
