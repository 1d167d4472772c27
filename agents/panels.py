"""What hosts add to the console: navigation, overview, search and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from agents import connections
from agents.cards import cards
from agents.choices import AgentStatus
from agents.models import Agent
from agents.portrait import portraits
from agents.querysets import AgentQuerySet
from dialer_platform.accounts.principal import Principal
from dialer_platform.console import extension, figures

OVERVIEW_HOSTS = 50


def hosts_of(principal: Principal) -> AgentQuerySet:
    """Return the hosts that may speak in the principal's tenant."""
    return Agent.objects.visible_to(principal).hosts().enrolled()


def count_offline(principal: Principal) -> int:
    """Return how many hosts are silent that are not meant to be."""
    return hosts_of(principal).offline().filter(is_paused=False).count()


def stats(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return the numbers of hosts for the head of the overview."""
    return hosts_of(principal).aggregate(
        online=Count("id", filter=Q(status=AgentStatus.ONLINE)), total=Count("id")
    )


def attention(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return the hosts that are silent or hold processes that cannot be killed."""
    silent = Q(status=AgentStatus.OFFLINE, is_paused=False)
    wrong = hosts_of(principal).filter(silent | Q(unkillable_tasks__gt=0))
    return {"hosts": wrong.order_by("name")[:OVERVIEW_HOSTS]}


def overview(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return the hosts with their usage for the overview."""
    hosts = hosts_of(principal).with_running_sub_agents()
    return {"cards": cards(portraits(hosts[:OVERVIEW_HOSTS]))}


def find(principal: Principal, words: str, limit: int) -> Iterable[extension.Hit]:
    """Return the hosts whose name or id contains the words."""
    match = Q(name__icontains=words) | Q(id__icontains=words)
    for agent in hosts_of(principal).filter(match).order_by("name")[:limit]:
        yield extension.Hit(
            agent.name,
            agent.get_absolute_url(),
            agent.id,
            agent.status,
            AgentStatus(agent.status).label,
        )


def count_by_status() -> Mapping[str, float]:
    """Return the hosts of all tenants by status."""
    hosts = Agent.objects.hosts().enrolled().order_by()
    return dict(hosts.values_list("status").annotate(Count("id")))


extension.add_nav(
    "agents",
    extension.NavItem(
        label=_("Agents"),
        url="/agents/",
        icon="agents",
        order=20,
        action="agent.view",
        count=count_offline,
        count_title=_("offline"),
    ),
)
extension.add_panel(
    "agents.stats",
    extension.Panel(
        extension.OVERVIEW_STATS, 30, "agents/_overview_stats.html", stats, "agent.view"
    ),
)
extension.add_panel(
    "agents.attention",
    extension.Panel(
        extension.OVERVIEW_ATTENTION, 20, "agents/_overview_attention.html", attention, "agent.view"
    ),
)
extension.add_panel(
    "agents.overview",
    extension.Panel(extension.OVERVIEW_MAIN, 30, "agents/_overview.html", overview, "agent.view"),
)
extension.add_search(
    "agents", extension.SearchSource(_("Agents"), order=20, action="agent.view", find=find)
)
figures.add(figures.Figure("agents", "Hosts by status.", count_by_status, label="status"))
figures.add(figures.Figure("agent_sockets", "Hosts connected to this process.", connections.count))
