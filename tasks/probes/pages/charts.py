"""The latency chart of a probe: one line per location over time, with phases and percentiles.

Pure but for `read`: rows in, shapes out. Percentiles are exact over the newest results,
at most NEWEST of them; the words beside them say over how many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dialer_platform.console.drawing import nice_top
from tasks.probes.choices import OUTCOME_CODES, Outcome
from tasks.probes.results import US, read_json, results_of
from tasks.probes.rollups.sums import HOUR, MINUTE
from tasks.probes.series.models import ProbeResult, RollUp

NEWEST = 5_000
WIDTH, HEIGHT = 720.0, 180.0
BINS = 120
TONES = ("accent", "done", "waiting", "running", "quiet", "failed")
PHASES = ("dns", "connect", "tls", "send", "ttfb", "transfer")
WINDOWS: dict[str, tuple[int, int | None]] = {
    "1h": (3_600, None),
    "24h": (86_400, MINUTE),
    "7d": (7 * 86_400, HOUR),
    "30d": (30 * 86_400, HOUR),
}
"""Seconds of each window, and the roll-up it is drawn from; the shortest from results."""
GOOD = (OUTCOME_CODES[Outcome.UP], OUTCOME_CODES[Outcome.DEGRADED])

Point = tuple[float, float]
"""(seconds since the epoch, milliseconds)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One location: points of an SVG polyline, the dots where it failed, its last value."""

    name: str
    tone: str
    points: str
    failures: tuple[float, ...]
    latest_ms: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole chart; `top_ms` is the value at its upper edge."""

    lines: tuple[Line, ...]
    top_ms: float
    window: str
    start: float
    end: float

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw yet."""
        return not any(line.points or line.failures for line in self.lines)


@dataclass(frozen=True, slots=True)
class Phases:
    """How long one location spends where: means and percentiles in milliseconds."""

    name: str
    runs: int
    means: tuple[tuple[str, float], ...]
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class _Dot:
    """One result or roll-up at one location, as the chart needs it."""

    agent_id: str
    at: float
    ms: float | None
    is_failure: bool


def latency_chart(probe_id: int, names: Mapping[str, str], window: str, now: float) -> Chart:
    """Return the chart of a window; names maps the agents' ids to their names."""
    seconds, level = WINDOWS[window]
    start = now - seconds
    dots = _raw(probe_id, start) if level is None else _rolled(probe_id, level, start)
    grouped: dict[str, list[_Dot]] = defaultdict(list)
    for dot in dots:
        grouped[dot.agent_id].append(dot)
    series = {one: _binned(rows, start, seconds) for one, rows in grouped.items()}
    top = nice_top(max((ms for line in series.values() for _at, ms in line), default=1.0))
    lines = [
        Line(
            name=names.get(agent_id, agent_id or "—"),
            tone=TONES[place % len(TONES)],
            points=_polyline(series[agent_id], start, seconds, top),
            failures=_failures(grouped[agent_id], start, seconds),
            latest_ms=series[agent_id][-1][1] if series[agent_id] else None,
        )
        for place, agent_id in enumerate(sorted(grouped, key=lambda one: names.get(one, one)))
    ]
    return Chart(tuple(lines), top, window, start, now)


def phases_of(results: Sequence[ProbeResult], names: Mapping[str, str]) -> list[Phases]:
    """Return where each location's good runs spend their time, over these results."""
    grouped: dict[str, list[ProbeResult]] = defaultdict(list)
    for result in results:
        if result.outcome in GOOD:
            grouped[result.agent_id].append(result)
    return [
        _phases(names.get(agent_id, agent_id or "—"), rows)
        for agent_id, rows in sorted(grouped.items(), key=lambda one: names.get(one[0], one[0]))
    ]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which the share of an ordered sequence lies (nearest rank)."""
    if not ordered:
        return 0.0
    rank = max(1, -(-len(ordered) * share // 100))
    return ordered[int(rank) - 1]


def _phases(name: str, rows: Sequence[ProbeResult]) -> Phases:
    """Return the figures of one location."""
    sums: dict[str, float] = defaultdict(float)
    for row in rows:
        for phase, seconds in read_json(row.phases).items():
            sums[phase] += float(seconds) * 1000
    ordered = sorted(row.duration_us / 1000 for row in rows)
    known = [phase for phase in PHASES if phase in sums]
    others = [phase for phase in sums if phase not in PHASES]
    return Phases(
        name=name,
        runs=len(rows),
        means=tuple((phase, sums[phase] / len(rows)) for phase in (*known, *others)),
        p50_ms=percentile(ordered, 50),
        p95_ms=percentile(ordered, 95),
        p99_ms=percentile(ordered, 99),
        max_ms=ordered[-1],
    )


def _raw(probe_id: int, start: float) -> list[_Dot]:
    """Return the newest results of the window, oldest first."""
    missed = OUTCOME_CODES[Outcome.MISSED]
    rows = results_of(probe_id, since=start, limit=NEWEST)
    return [
        _Dot(
            row.agent_id,
            row.started_us / US,
            row.duration_us / 1000 if row.outcome in GOOD else None,
            row.outcome == OUTCOME_CODES[Outcome.DOWN],
        )
        for row in reversed(rows)
        if row.outcome != missed
    ]


def _rolled(probe_id: int, level: int, start: float) -> list[_Dot]:
    """Return the roll-ups of the window, oldest first."""
    rows = RollUp.objects.filter(probe_id=probe_id, level=level, start__gte=int(start))
    names = ("agent_id", "start", "latency_sum_us", "up", "degraded", "down")
    return [
        _Dot(agent_id, at, total / good / 1000 if good else None, bool(down))
        for agent_id, at, total, up, degraded, down in rows.order_by("start").values_list(*names)
        for good in (up + degraded,)
    ]


def _binned(dots: Iterable[_Dot], start: float, seconds: float) -> list[Point]:
    """Return the means of at most BINS parts of the window."""
    bins: dict[int, list[float]] = defaultdict(list)
    for dot in dots:
        if dot.ms is not None:
            bins[int((dot.at - start) / seconds * BINS)].append(dot.ms)
    width = seconds / BINS
    return [
        (start + (place + 0.5) * width, sum(values) / len(values))
        for place, values in sorted(bins.items())
    ]


def _polyline(points: Sequence[Point], start: float, seconds: float, top: float) -> str:
    """Return the points of a line; one value alone becomes a short dash."""
    if len(points) == 1:
        at, ms = points[0]
        points = [(at - seconds / BINS, ms), (at + seconds / BINS, ms)]
    return " ".join(
        f"{(at - start) / seconds * WIDTH:.1f},{HEIGHT - min(ms / top, 1.0) * HEIGHT:.1f}"
        for at, ms in points
    )


def _failures(dots: Iterable[_Dot], start: float, seconds: float) -> tuple[float, ...]:
    """Return where on the time axis runs failed, each part of the window once."""
    places = {int((dot.at - start) / seconds * BINS) for dot in dots if dot.is_failure}
    return tuple(round((place + 0.5) / BINS * WIDTH, 1) for place in sorted(places))
