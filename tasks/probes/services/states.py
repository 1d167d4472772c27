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

from django.db.models import Q

from agents.choices import AgentStatus
from agents.models import Agent
from dialer_platform.storage import write_transaction
from tasks.probes import events, windows
from tasks.probes.choices import OUTCOME_NAMES, Outcome, State
from tasks.probes.judgement import Belief, Rules, advance, grow_silent
from tasks.probes.models import FollowCursor, Location, Probe
from tasks.probes.results import read_json
from tasks.probes.series.models import ProbeResult
from tasks.probes.services.location_rows import write_locations
from tasks.probes.services.verdicts import decide

NAME = "states"
RESULTS_AT_ONCE = 1_000
"""Some 100 ms of the writer's lock at worst, when every result is of another location."""
BUDGET_SECONDS = 0.5
"""A follower far behind lets the other jobs have their turn in between."""
PROBES_AT_ONCE = 500
US = 1_000_000
Key = tuple[int, str | None]
"""(probe id, agent id)."""


def follow() -> int:
    """Judge new results and return how many; a housekeeping job."""
    total = 0
    until = time.monotonic() + BUDGET_SECONDS
    while True:
        count = judge_next()
        total += count
        if count < RESULTS_AT_ONCE or time.monotonic() > until:
            return total


def judge_next(limit: int = RESULTS_AT_ONCE) -> int:
    """Judge the next results in one transaction and return how many."""
    if not _has_news():
        return 0
    with write_transaction():
        FollowCursor.objects.get_or_create(name=NAME)
        cursor = FollowCursor.objects.select_for_update().get(name=NAME)
        rows = list(ProbeResult.objects.filter(id__gt=cursor.last_id).order_by("id")[:limit])
        if not rows:
            return 0
        _judge(rows)
        cursor.last_id = rows[-1].pk
        cursor.save(update_fields=["last_id"])
    return len(rows)


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


def _judge(rows: Sequence[ProbeResult]) -> None:
    """Take results into the beliefs of their locations, then decide on the probes."""
    probes = Probe.objects.filter(enabled=True).in_bulk({row.probe_id for row in rows})
    by_location: dict[Key, list[ProbeResult]] = defaultdict(list)
    for row in rows:
        if row.probe_id in probes:
            by_location[row.probe_id, row.agent_id or None].append(row)
    locations = _locations(by_location, probes)
    for key, news in by_location.items():
        if location := locations.get(key):
            # Late results of an outbox come in the order of their numbers, which is time.
            _take_in(location, sorted(news, key=lambda row: row.started_us), probes[key[0]])
    write_locations(list(locations.values()))
    decide(probes.values(), windows.read_cover())
    _hint(probes.values())


def _take_in(location: Location, news: Sequence[ProbeResult], probe: Probe) -> None:
    """Advance one location by its results, oldest first."""
    belief, rules = belief_of(location), rules_of(probe)
    newest = None
    for row in news:
        outcome = OUTCOME_NAMES[row.outcome]
        belief = advance(belief, outcome, row.started_us / US, rules)
        if outcome == Outcome.MISSED:
            location.missed += row.count
        else:
            location.executed += row.count
            newest = row
    if newest is not None:
        _show(location, newest, OUTCOME_NAMES[newest.outcome])
    _keep(location, belief)


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
    for location in rows.exclude(state__in=[State.PENDING, State.UNKNOWN]):
        before = belief_of(location)
        after = grow_silent(
            before, now, rules_of(probes[location.probe_id]), is_offline=_is_offline(location)
        )
        if after is not before:
            _keep(location, after)
            changed.append(location)
    write_locations(changed)
    return decide(probes.values(), windows.read_cover())


def _is_offline(location: Location) -> bool:
    """Return whether the location's host is silent or gone; a push probe has none."""
    agent = location.agent
    return agent is not None and (agent.status != AgentStatus.ONLINE or bool(agent.revoked_at))


def _locations(keys: Iterable[Key], probes: dict[int, Probe]) -> dict[Key, Location]:
    """Return the row of each location, made where it is missing, all of them locked."""
    wanted = set(keys)
    agents = {agent_id for _, agent_id in wanted if agent_id}
    known = set(Agent.objects.filter(id__in=agents).values_list("id", flat=True))
    found = _read_locations(probes)
    missing = [
        Location(probe_id=probe_id, agent_id=agent_id)
        for probe_id, agent_id in wanted - found.keys()
        if agent_id is None or agent_id in known
    ]
    if missing:
        Location.objects.bulk_create(missing, ignore_conflicts=True)
        found = _read_locations(probes)
    return {key: row for key, row in found.items() if key in wanted}


def _read_locations(probes: Iterable[int]) -> dict[Key, Location]:
    """Return the stored locations of some probes, locked in the order of their keys."""
    found: dict[Key, Location] = {}
    ids = sorted(probes)
    for first in range(0, len(ids), PROBES_AT_ONCE):
        some = Q(probe_id__in=ids[first : first + PROBES_AT_ONCE])
        for row in Location.objects.filter(some).order_by("id").select_for_update():
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
