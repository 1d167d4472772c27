"""The kinds of probes and what their targets and configurations must look like.

The kinds themselves belong to the protocol, so that server and agent refuse the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_client.protocol import probe_kinds
from tasks.probes.choices import PUSH_KIND


def names() -> tuple[str, ...]:
    """Return the kinds that a probe may have."""
    return tuple(probe_kinds.names())


def check(kind: str, target: str, config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong with target and config, by field; empty when nothing is."""
    return probe_kinds.check(kind, target, dict(config))


def grace_seconds(config: Mapping[str, Any]) -> float:
    """Return how long beyond its interval a push probe may be silent."""
    return float(probe_kinds.settings(PUSH_KIND, dict(config)).grace_seconds)
