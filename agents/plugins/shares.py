"""Divides what is bounded among hosts: one with much takes nothing from the others. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def shares(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """Return how much of what it has each may keep, at most `total` together.

    Those with little keep all of it; those with much keep equally much.
    """
    found: dict[str, int] = {}
    for place, name in enumerate(sorted(counts, key=lambda one: (counts[one], one))):
        found[name] = min(counts[name], total // (len(counts) - place))
        total -= found[name]
    return found
