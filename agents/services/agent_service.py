"""The service of the agent model under the names its users know; thin over the real verbs."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from agent_client.protocol.messages import Answer, Heartbeat
from agents import fleet
from agents.choices import AgentStatus
from agents.inbox import AgentPrincipal, receive
from agents.models import Agent
from agents.services import main_agents, presence, sub_agents
from dialer_platform.accounts.principal import Principal
from dialer_platform.errors import NotFound

create_main_agent = main_agents.create_main_agent
update_agent = main_agents.update_agent


def create_sub_agent(agent_id: str, task_id: int, name: str) -> Agent:
    """Record that a task runs on a host and return its sub-agent."""
    sub_agents.open_sub_agent(agent_id, task_id, name)
    return get_agent(sub_agents.sub_agent_id(agent_id, task_id))


def get_agent(agent_id: str, *, tenant_id: str | None = None) -> Agent:
    """Return an agent, in one tenant if that is given; raises NotFound."""
    known = Agent.objects.all() if tenant_id is None else Agent.objects.of_tenant(tenant_id)
    agent: Agent | None = known.filter(id=agent_id).first()
    if agent is None:
        raise NotFound(_("There is no such agent."))
    return agent


def get_all_agents(*, tenant_id: str) -> list[Agent]:
    """Return the hosts of a tenant with their running sub-agents."""
    return list(Agent.objects.of_tenant(tenant_id).hosts().with_running_sub_agents())


def cancel_agent(agent: Agent, *, by: Principal | str) -> Agent:
    """End a host's credential for good."""
    return main_agents.revoke_agent(agent, by=by)


def check_agents_status() -> list[str]:
    """Mark hosts offline whose beats stopped, and return their ids."""
    return presence.mark_silent_agents()


async def handle_heartbeat(principal: AgentPrincipal, heartbeat: Heartbeat) -> Answer:
    """Take a heartbeat with the messages it carries and return its answer."""
    return await receive(principal, [heartbeat])


def has_available_resources(agent: Agent, *, cpu_cores: int = 1, gpu_count: int = 0) -> bool:
    """Return whether the host is online, takes tasks and has so much in all.

    What is free right now is the matcher's business, which knows the bookings.
    """
    facts: Any = next((f for f in fleet.hosts_of(agent.tenant_id) if f.agent_id == agent.id), None)
    return (
        facts is not None
        and agent.status == AgentStatus.ONLINE
        and not facts.is_draining
        and facts.cpu_cores >= cpu_cores
        and len(facts.gpus) >= gpu_count
    )
