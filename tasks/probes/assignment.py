"""Which host runs which probe: pure.

A probe that names agents is run by them, one that names labels by the agents that carry
all of them, any other by every agent of its tenant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

REVISION_BITS = 52
"""A revision is a JSON number; browsers hold 53 bits exactly."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Who is to run one probe; version as the probe's."""

    probe_id: int
    version: int
    agent_ids: frozenset[str] = frozenset()
    labels: tuple[tuple[str, str], ...] = ()


def runs(wish: Wish, agent_id: str, labels: Mapping[str, str]) -> bool:
    """Return whether an agent with these labels is to run the probe."""
    if wish.agent_ids:
        return agent_id in wish.agent_ids
    return all(labels.get(name) == word for name, word in wish.labels)


def assign(
    wishes: Sequence[Wish], agents: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[int, int]]:
    """Return for each agent its probes as probe id -> version.

    Agents that run only what everybody runs share one mapping.
    """
    common = {one.probe_id: one.version for one in wishes if not one.agent_ids and not one.labels}
    chosen = [one for one in wishes if one.agent_ids or one.labels]
    result: dict[str, dict[int, int]] = {}
    for agent_id, labels in agents.items():
        own = {one.probe_id: one.version for one in chosen if runs(one, agent_id, labels)}
        result[agent_id] = common | own if own else common
    return result


def revision_of(probes: Mapping[int, int], requests: Iterable[str] = ()) -> int:
    """Return a number for the content of a set: the same content, the same number, never 0.

    0 says nothing: an empty set has a number too, or the last removal would go unnoticed.

    A digest and not a counter: it survives a restored backup, and an agent whose own
    probes did not change need not fetch anything when others' did.
    """
    words = [f"{probe_id}.{version}" for probe_id, version in sorted(probes.items())]
    words += sorted(requests)
    digest = hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - REVISION_BITS)) or 1
