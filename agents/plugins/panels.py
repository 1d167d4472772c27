"""What plug-ins add to the console: a panel on the page of each host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.models import Agent
from agents.plugins import queries
from dialer_platform.accounts.principal import Principal
from dialer_platform.console import extension


def panel(_principal: Principal, agent: Agent) -> Mapping[str, Any]:
    """Return a host's plug-ins that somebody asked for or that it reports."""
    views = queries.views_of(agent)
    return {"agent": agent, "plugins": views, "offered": not views}


extension.add_panel(
    "agents.plugins",
    extension.Panel(extension.AGENT_PAGE, 60, "plugins/_panel.html", panel, "plugin.view"),
)
