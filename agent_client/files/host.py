"""What the process of a transfer is told about its host, made by the main agent."""

from __future__ import annotations

import sys
from pathlib import Path

from agent_client.config import AgentConfig
from agent_client.policy import Policy
from agent_client.throttle import LIMITS_FILE
from agent_client.transport.trust import Trust


def told_to_transfers(config: AgentConfig, *, policy: Policy, trust: Trust) -> dict[str, object]:
    """Return how transfers are run here, where they speak to, and what they may touch."""
    return {
        "interpreter": sys.executable,
        "package": str(Path(__file__).parents[2]),
        "servers": config.connection.servers,
        "roots": [str(root) for root in policy.roots()],
        "hidden": [str(config.state_dir)],
        "ca_file": str(trust.ca_file or ""),
        "fingerprint": trust.fingerprint,
        "limits_file": str(config.state_dir / LIMITS_FILE),
    }
