"""The plug-ins that come with the agent, one file each, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MODULES: Mapping[str, str] = MappingProxyType(
    {
        name: f"agent_client.plugins.builtin.{name}"
        for name in ("cpu", "memory", "disk", "network", "log_tail")
    }
)
"""Each module has a class `Plugin`; it is imported in the plug-in's own process only."""
