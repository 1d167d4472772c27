"""Writes to the audit what a host's policy refuses of plug-ins, once for each change.

The audit is never deleted and a host says what it likes, so each has a bound for a day.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from agents.hot import HotAgent
from agents.models import Agent
from agents.plugins.choices import Condition
from dialer_platform.accounts.services import audit

POLICY_DENIED = "policy_denied"
MAX_PER_HOST_A_DAY = 100
DAY_SECONDS = 86_400.0
MAX_HOSTS = 20_000


class State(Protocol):
    """What is known of a plug-in, as far as it matters here."""

    @property
    def condition(self) -> str:
        """Return how it is."""

    @property
    def code(self) -> str:
        """Return why, in the catalogue's word."""

    @property
    def detail(self) -> str:
        """Return why, in the host's words."""


class Refusals:
    """Counts what each host had written today; used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Begin with nothing; the clock counts seconds."""
        self._clock = clock
        self._day = 0.0
        self._written: Counter[str] = Counter()

    def record(
        self, host: HotAgent, before: Mapping[str, State], after: Mapping[str, State]
    ) -> None:
        """Write what the host refuses anew, inside the caller's transaction."""
        for name in new_refusals(before, after):
            if self._may_write(host.agent_id):
                detail = {"kind": "plugin", "name": name, "reason": after[name].detail}
                agent = Agent(id=host.agent_id, tenant_id=host.tenant_id)
                audit.record(f"agent:{host.agent_id}", "policy.refused", agent, detail)

    def _may_write(self, agent_id: str) -> bool:
        """Count one entry of a host; returns whether it has any left today."""
        day = self._clock() // DAY_SECONDS
        if day != self._day or len(self._written) > MAX_HOSTS:
            self._day = day
            self._written.clear()
        self._written[agent_id] += 1
        return self._written[agent_id] <= MAX_PER_HOST_A_DAY


def new_refusals(before: Mapping[str, State], after: Mapping[str, State]) -> Iterator[str]:
    """Yield the plug-ins that the policy refuses now and did not, or for another reason."""
    for name, state in after.items():
        if _is_refused(state):
            known = before.get(name)
            if known is None or not _is_refused(known) or known.detail != state.detail:
                yield name


def _is_refused(state: State) -> bool:
    """Return whether the host's policy is why a plug-in does not run."""
    return state.condition == Condition.REFUSED and state.code == POLICY_DENIED
