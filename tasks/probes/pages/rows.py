"""The list of probes as a page: filters, counts, and what each row shows.

The number of queries does not depend on the number of rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.paginator import Page, Paginator
from django.db.models import Count
from django.http import QueryDict
from django.utils import timezone

from agents.models import Agent
from agents.portrait import portraits
from agents.thread_pool import thread_pool
from dialer_platform.accounts.principal import Principal
from tasks.probes.choices import TONES, State
from tasks.probes.filters import ProbeFilter
from tasks.probes.models import Location, Probe
from tasks.probes.pages.uptime import Uptime, uptimes
from tasks.probes.querysets import ProbeQuerySet

PAGE_SIZE = 50
ORDERINGS = ("id", "name", "kind", "interval", "state")
CHIPS = (State.DOWN, State.DEGRADED, State.UP, State.UNKNOWN, State.PENDING, State.PAUSED)
TEXT_FILTERS = ("q", "kind", "agent_id")


@dataclass(frozen=True, slots=True)
class StateChip:
    """One state with how many probes have it under the other filters."""

    state: str
    label: str
    tone: str
    count: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One probe in a list; `run_state` is running, waiting, completed or empty."""

    probe: Probe
    locations: list[Location]
    uptime: Uptime
    run_state: str
    last_at: datetime | None
    last_ms: float | None
    next_at: datetime | None

    @property
    def error(self) -> str:
        """Return why the target is down, as the first location says it."""
        bad = (State.DOWN, State.SUSPECT, State.DEGRADED)
        lines = (one.last_error or one.last_reason for one in self.locations if one.state in bad)
        return next((line for line in lines if line), "")


@dataclass(frozen=True, slots=True)
class ProbePage:
    """One page of the filtered list."""

    page: Page[Probe]
    elided: list[int | str]
    rows: list[Row]
    chips: list[StateChip]
    count: int
    total: int
    data: QueryDict
    is_filtered: bool


def probe_page(principal: Principal, data: QueryDict) -> ProbePage:
    """Return a page as the query string asks; a wrong value filters nothing."""
    probes = Probe.objects.visible_to(principal)
    others = data.copy()
    others.pop("state", None)
    without_state = ProbeFilter(others, queryset=probes).qs
    counts = dict(without_state.order_by().values_list("state").annotate(Count("id")))
    chosen = [state for state in data.getlist("state") if state in State.values]
    shown = without_state.filter(state__in=chosen) if chosen else without_state
    paginator = Paginator(_ordered(shown, data.get("ordering", "")).shown(), PAGE_SIZE)
    paginator.count = sum(counts.get(state, 0) for state in chosen or State.values)
    page = paginator.get_page(data.get("page"))
    return ProbePage(
        page=page,
        elided=list(paginator.get_elided_page_range(page.number)),
        rows=rows_of(page.object_list, principal),
        chips=_chips(counts, chosen),
        count=paginator.count,
        total=sum(counts.values()),
        data=data,
        is_filtered=bool(chosen or any(data.get(name) for name in TEXT_FILTERS)),
    )


def rows_of(probes: Iterable[Probe], principal: Principal) -> list[Row]:
    """Return the rows of probes that come from `shown()`."""
    found = list(probes)
    histories = uptimes([probe.pk for probe in found], time.time())
    states = run_states(principal)
    return [row_of(probe, histories[probe.pk], states) for probe in found]


def row_of(probe: Probe, uptime: Uptime, states: Mapping[int, str]) -> Row:
    """Return what a list shows of one probe."""
    locations = list(probe.locations.all())
    heard = [one for one in locations if one.last_at is not None]
    newest = max(heard, key=lambda one: one.last_at or datetime.min, default=None)
    seconds = newest.last_duration_seconds if newest else None
    last_at = newest.last_at if newest else None
    return Row(
        probe=probe,
        locations=locations,
        uptime=uptime,
        run_state=states.get(probe.pk, "completed" if last_at else ""),
        last_at=last_at,
        last_ms=None if seconds is None else seconds * 1000,
        next_at=next_run(probe, last_at),
    )


def next_run(probe: Probe, last_at: datetime | None) -> datetime | None:
    """Return when the next run is about due; agents keep the exact phase to themselves."""
    if not probe.enabled or last_at is None:
        return None
    passed = max(0.0, (timezone.now() - last_at).total_seconds())
    return last_at + timedelta(seconds=(passed // probe.interval + 1) * probe.interval)


def run_states(principal: Principal) -> dict[int, str]:
    """Return which probes of the tenant run or wait at this moment, as their hosts say."""
    hosts = Agent.objects.visible_to(principal).hosts().enrolled().online()
    states: dict[int, str] = {}
    for facts in portraits(hosts):
        pool = thread_pool(facts.thread_pool)
        states |= {one: "waiting" for one in pool.waiting_ids if states.get(one) != "running"}
        states |= dict.fromkeys(pool.running_ids, "running")
    return states


def _ordered(rows: ProbeQuerySet, ordering: str) -> ProbeQuerySet:
    """Return the rows in the asked order, newest first by default."""
    if ordering.removeprefix("-") not in ORDERINGS:
        return rows.order_by("-id")
    return rows.order_by(ordering, "-id")


def _chips(counts: Mapping[str, int], chosen: Iterable[str]) -> list[StateChip]:
    """Return the states in the order in which people look for them, bad ones first."""
    wanted = set(chosen)
    return [
        StateChip(
            state=str(state),
            label=str(state.label),
            tone=TONES[state],
            count=counts.get(state, 0),
            is_chosen=str(state) in wanted,
        )
        for state in CHIPS
    ]
