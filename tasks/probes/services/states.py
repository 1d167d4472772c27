"""The one mover of states: from new results and from silence to beliefs, incidents and events.

A follower of the result log: its cursor is committed with the states it led to, so every
result counts once whatever crashes. Works on whole batches: one read and one write per
location and pass, however many results came.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db.models import Q

from agents.choices import AgentStatus
from agents.models import Agent
from dialer_platform.storage import write_transaction
from tasks.probes import events, windows
from tasks.probes.choices import OUTCOME_NAMES, Outcome, State
from tasks.probes.judgement import Belief, Rules, advance, grow_silent, rest, wake
from tasks.probes.models import FollowCursor, Location, Probe
from tasks.probes.results import read_json
from tasks.probes.series.models import ProbeResult
from tasks.probes.services.location_rows import write_locations
from tasks.probes.services.verdicts import decide

NAME = "states"
RESULTS_AT_ONCE = 10_000
LOCATIONS_AT_ONCE = 2_000
"""What a pass costs follows its locations: so many hold the writer's lock for some 200 ms."""
BUDGET_SECONDS = 0.5
"""A follower far behind lets the other jobs have their turn in between."""
PROBES_AT_ONCE = 500
US = 1_000_000
Key = tuple[int, str | None]
"""(probe id, agent id)."""


class Run(NamedTuple):
    """What judging needs of one result."""

    id: int
    probe_id: int
    agent_id: str
    started_us: int
    outcome: int
    runs: int

    @property
    def key(self) -> Key:
        """Return the location; a target that reports itself has no agent."""
        return (self.probe_id, self.agent_id or None)


def follow() -> int:
    """Judge new results and return how many; a housekeeping job."""
    total = 0
    until = time.monotonic() + BUDGET_SECONDS
    while True:
        count = judge_next()
        total += count
        if not count or time.monotonic() > until:
            return total


def judge_next(limit: int = RESULTS_AT_ONCE) -> int:
    """Judge the next results in one transaction and return how many."""
    if not _has_news():
        return 0
    with write_transaction():
        FollowCursor.objects.get_or_create(name=NAME)
        cursor = FollowCursor.objects.select_for_update().get(name=NAME)
        runs = _read_runs(cursor.last_id, limit)
        if not runs:
            return 0
        _judge(runs)
        cursor.last_id = runs[-1].id
        cursor.save(update_fields=["last_id"])
    return len(runs)


def _read_runs(last_id: int, limit: int) -> list[Run]:
    """Return the next results, as many as concern LOCATIONS_AT_ONCE locations."""
    columns = ("id", "probe_id", "agent_id", "started_us", "outcome", "count")
    rows = ProbeResult.objects.filter(id__gt=last_id).order_by("id").values_list(*columns)
    runs: list[Run] = []
    seen: set[Key] = set()
    # Not one page: a pass usually ends long before the limit.
    for row in rows[:limit].iterator(chunk_size=500):
        run = Run(*row)
        seen.add(run.key)
        if len(seen) > LOCATIONS_AT_ONCE:
            break
        runs.append(run)
    return runs


def _has_news() -> bool:
    """Return whether there may be results to judge; spares an idle server the transaction."""
    last_id = FollowCursor.objects.filter(name=NAME).values_list("last_id", flat=True).first()
    return last_id is None or ProbeResult.objects.filter(id__gt=last_id).exists()


def watch_silence() -> int:
    """Make locations unknown that nothing is heard of; a housekeeping job.

    Also closes what planned work or a pause changed since: a window has no bell.
    """
    now = time.time()
    changed = 0
    ids = list(Probe.objects.filter(enabled=True).order_by("id").values_list("id", flat=True))
    for first in range(0, len(ids), PROBES_AT_ONCE):
        with write_transaction():
            changed += _watch(ids[first : first + PROBES_AT_ONCE], now)
    return changed


def _judge(runs: Sequence[Run]) -> None:
    """Take results into the beliefs of their locations, then decide on the probes."""
    probes = Probe.objects.filter(enabled=True).in_bulk({run.probe_id for run in runs})
    by_location: dict[Key, list[Run]] = defaultdict(list)
    for run in runs:
        if run.probe_id in probes:
            by_location[run.key].append(run)
    locations = _locations(by_location, probes)
    newest: dict[int, Location] = {}
    for key, news in by_location.items():
        if location := locations.get(key):
            # Late results of an outbox come in the order of their numbers, which is time.
            shown_id = _take_in(location, sorted(news, key=_started), probes[key[0]])
            newest[shown_id] = location
    for row_id, row in ProbeResult.objects.in_bulk(newest.keys() - {0}).items():
        _show(newest[row_id], row, OUTCOME_NAMES[row.outcome])
    write_locations(list(locations.values()))
    decide(probes.values(), windows.read_cover())
    _hint(probes.values())


def _take_in(location: Location, news: Sequence[Run], probe: Probe) -> int:
    """Advance one location by its results, oldest first; return the last executed one, or 0."""
    belief, rules = belief_of(location), rules_of(probe)
    newest = 0
    for run in news:
        outcome = OUTCOME_NAMES[run.outcome]
        belief = advance(belief, outcome, run.started_us / US, rules)
        if outcome == Outcome.MISSED:
            location.missed += run.runs
        else:
            location.executed += run.runs
            newest = run.id
    _keep(location, belief)
    return newest


def _started(run: Run) -> int:
    """Return when a run started."""
    return run.started_us


def _show(location: Location, row: ProbeResult, outcome: str) -> None:
    """Show the newest executed run."""
    at = _moment(row.started_us / US)
    if location.last_at is not None and at < location.last_at:
        return
    location.last_at = at
    location.last_outcome = outcome
    location.last_reason = row.reason
    location.last_error = row.error
    location.last_duration_seconds = row.duration_us / US
    location.last_phases = read_json(row.phases)
    location.last_details = read_json(row.details)
    location.last_version = row.version


def _watch(probe_ids: Sequence[int], now: float) -> int:
    """Look for silence among some probes and decide on all of them."""
    probes = Probe.objects.filter(enabled=True).in_bulk(list(probe_ids))
    rows = Location.objects.filter(probe_id__in=probes).select_related("agent")
    changed = []
    is_settled = Q(state__in=[State.PENDING, State.UNKNOWN]) & ~Q(agent__is_paused=True)
    for location in rows.exclude(is_settled):
        before = belief_of(location)
        after = _without_news(location, before, now, probes[location.probe_id])
        if after is not before:
            _keep(location, after)
            changed.append(location)
    write_locations(changed)
    return decide(probes.values(), windows.read_cover())


def _without_news(location: Location, before: Belief, now: float, probe: Probe) -> Belief:
    """Return what a location believes when time has passed and no result came."""
    if location.agent is not None and location.agent.is_paused:
        return rest(before, now)
    if before.state == State.PAUSED:
        return wake(before, now)
    return grow_silent(before, now, rules_of(probe), is_offline=_is_offline(location))


def _is_offline(location: Location) -> bool:
    """Return whether the location's host is silent or gone; a push probe has none."""
    agent = location.agent
    return agent is not None and (agent.status != AgentStatus.ONLINE or bool(agent.revoked_at))


def _locations(keys: Iterable[Key], probes: dict[int, Probe]) -> dict[Key, Location]:
    """Return the row of each location, made where it is missing, all of them locked."""
    wanted = set(keys)
    agents = {agent_id for _, agent_id in wanted if agent_id}
    found = _read_locations(probes, agents)
    if missing := wanted - found.keys():
        known = set(Agent.objects.filter(id__in=agents).values_list("id", flat=True))
        Location.objects.bulk_create(
            [
                Location(probe_id=probe_id, agent_id=agent_id)
                for probe_id, agent_id in missing
                if agent_id is None or agent_id in known
            ],
            ignore_conflicts=True,
        )
        found = _read_locations(probes, agents)
    return {key: row for key, row in found.items() if key in wanted}


def _read_locations(probes: Iterable[int], agents: set[str]) -> dict[Key, Location]:
    """Return the stored locations of some probes and hosts, locked in the order of their keys."""
    found: dict[Key, Location] = {}
    ids = sorted(probes)
    for first in range(0, len(ids), PROBES_AT_ONCE):
        some = Location.objects.filter(probe_id__in=ids[first : first + PROBES_AT_ONCE])
        own = some.filter(Q(agent_id__in=agents) | Q(agent=None))
        for row in own.order_by("id").select_for_update():
            found[row.probe_id, row.agent_id] = row
    return found


def _hint(probes: Iterable[Probe]) -> None:
    """Have pages show the newest results."""
    by_tenant: dict[str, list[int]] = defaultdict(list)
    for probe in probes:
        by_tenant[probe.tenant_id].append(probe.pk)
    for tenant_id, ids in by_tenant.items():
        events.probes_changed(ids, tenant_id=tenant_id)


def belief_of(location: Location) -> Belief:
    """Return what a stored location believes."""
    return Belief(
        state=location.state,
        since=location.state_since.timestamp() if location.state_since else 0.0,
        failures=location.failures,
        successes=location.successes,
        history=location.history,
        seen_at=_seen_at(location),
    )


def rules_of(probe: Probe) -> Rules:
    """Return how a probe's runs are judged."""
    return Rules(probe.fail_threshold, probe.recover_threshold, float(probe.interval))


def _seen_at(location: Location) -> float:
    """Return when something was last known, as nearly as it is stored."""
    return location.seen_at.timestamp() if location.seen_at else 0.0


def _keep(location: Location, belief: Belief) -> None:
    """Write a belief into its row."""
    location.state = belief.state
    location.state_since = _moment(belief.since) if belief.since else None
    location.failures = belief.failures
    location.successes = belief.successes
    location.history = belief.history
    location.seen_at = _moment(belief.seen_at) if belief.seen_at else None


def _moment(seconds: float) -> datetime:
    """Return epoch seconds as a moment."""
    return datetime.fromtimestamp(seconds, UTC)
