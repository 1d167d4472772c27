"""Reads of plug-ins for pages and REST: each a fixed number of queries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Max

from agents.models import Agent
from agents.plugins.choices import BUILT_IN, TONES, Condition
from agents.plugins.models import AgentPlugin, PluginReport
from agents.plugins.series.models import PluginLine, PluginSpan
from agents.plugins.spans import MINUTE, QUARTER, Figure, base_of, decode

LATELY_SECONDS = 1_200
"""How far back the last sample is looked for; a silent plug-in has none."""
MAX_SPANS = 2_000
MAX_LINES = 1_000
MINUTES_AT_MOST_SECONDS = 6 * 3_600
"""A longer window is read from quarters."""


@dataclass(frozen=True, slots=True)
class PluginView:
    """One plug-in on one host: what is wanted, how it is, when it last measured."""

    name: str
    wanted: AgentPlugin | None
    report: PluginReport | None
    last_at: datetime | None

    @property
    def is_active(self) -> bool:
        """Return whether the host is to run it."""
        return self.wanted is not None and self.wanted.enabled

    @property
    def is_built_in(self) -> bool:
        """Return whether it comes with the agent."""
        return self.name in BUILT_IN

    @property
    def condition(self) -> str:
        """Return how it is: what the host says, "waiting" before its first word, or "off"."""
        if self.report is not None:
            return str(self.report.condition)
        return "waiting" if self.is_active else "off"

    @property
    def tone(self) -> str:
        """Return the tone of its badge."""
        if self.report is not None:
            return TONES[Condition(self.report.condition)]
        return "waiting" if self.is_active else "quiet"

    @property
    def version(self) -> str:
        """Return the version that runs, else the wanted one, "" for unknown."""
        if self.report is not None and self.report.version:
            return str(self.report.version)
        package = self.wanted.package if self.wanted else None
        return package.version if package else ""


def views_of(agent: Agent, *, with_offered: bool = False) -> list[PluginView]:
    """Return a host's plug-ins by name, also those it only reports; three queries.

    with_offered adds the built-in ones that nobody asked for yet.
    """
    rows = AgentPlugin.objects.filter(agent_id=agent.pk).select_related("package")
    wanted = {row.name: row for row in rows}
    reports = {row.name: row for row in PluginReport.objects.filter(agent_id=agent.pk)}
    last = last_samples(agent.pk)
    names = [*BUILT_IN] if with_offered else []
    names += sorted((wanted.keys() | reports.keys()) - set(names))
    return [PluginView(name, wanted.get(name), reports.get(name), last.get(name)) for name in names]


def last_samples(agent_id: str) -> dict[str, datetime]:
    """Return when each plug-in of a host measured last, of those that did lately."""
    since = int(time.time()) - LATELY_SECONDS
    rows = PluginSpan.objects.filter(agent_id=agent_id, level=MINUTE, start__gte=since)
    newest = rows.order_by().values_list("plugin").annotate(at=Max("last_at"))
    return {plugin: datetime.fromtimestamp(at, UTC) for plugin, at in newest}


@dataclass(frozen=True, slots=True)
class SpanView:
    """The figures of one span of time."""

    start: int
    last_at: float
    figures: dict[str, Figure]


def spans_of(
    agent_id: str, plugin: str, *, since: float, metric: str = "", limit: int = MAX_SPANS
) -> tuple[int, list[SpanView]]:
    """Return the spans since a moment, oldest first, and their length in seconds.

    Minutes for the last hours, else quarters of an hour; a metric's name leaves out others.
    """
    level = MINUTE if time.time() - since <= MINUTES_AT_MOST_SECONDS else QUARTER
    rows = PluginSpan.objects.filter(
        agent_id=agent_id, plugin=plugin, level=level, start__gt=int(since) - level
    )
    newest = rows.order_by("-start").values_list("start", "last_at", "figures")[:limit]
    views = [SpanView(start, at, _chosen(decode(text), metric)) for start, at, text in newest]
    return level, views[::-1]


def _chosen(figures: dict[str, Figure], metric: str) -> dict[str, Figure]:
    """Return all figures, or those of one metric with its parts such as `used[/]`."""
    if not metric:
        return figures
    return {name: figure for name, figure in figures.items() if metric in (name, base_of(name))}


def lines_of(agent_id: str, plugin: str, *, limit: int = 200) -> Sequence[dict[str, Any]]:
    """Return the newest lines of a plug-in, oldest first, as at and text."""
    rows = PluginLine.objects.filter(agent_id=agent_id, plugin=plugin).order_by("-id")
    newest = rows.values_list("id", "at", "text")[: min(limit, MAX_LINES)]
    return [{"id": key, "at": at, "text": text} for key, at, text in newest][::-1]
