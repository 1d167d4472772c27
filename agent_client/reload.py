"""What a changed configuration means for an agent that runs: what takes effect, what waits.

Pure. A setting takes effect at once only where that cannot touch a running task; every
other change is named, so that nobody wonders why nothing happened.
"""

from __future__ import annotations

from typing import NamedTuple

from agent_client.config import SETTINGS, AgentConfig

LIVE = frozenset(
    {
        "labels",
        "policy_file",
        "task.max_concurrent_tasks",
        "task.max_execution_time_sec",
        "logging.log_mode",
        "resource_limit.bandwidth_limit",
    }
)
LIVE_SECTIONS = ("resource_adaptive.",)
SECRETS_OF_THE_START = frozenset({"enroll_token"})
"""Used once, at the first start: a change means nothing any more."""


class Changes(NamedTuple):
    """Dotted keys that differ, in the order in which settings are declared."""

    live: tuple[str, ...]
    at_next_start: tuple[str, ...]


def changes_between(old: AgentConfig, new: AgentConfig) -> Changes:
    """Return what differs between the running configuration and the one just read."""
    different = [
        key
        for key in SETTINGS
        if key not in SECRETS_OF_THE_START and old.value(key) != new.value(key)
    ]
    live = tuple(key for key in different if is_live(key))
    return Changes(live, tuple(key for key in different if key not in live))


def is_live(key: str) -> bool:
    """Return whether a setting may change while tasks run."""
    return key in LIVE or key.startswith(LIVE_SECTIONS)
