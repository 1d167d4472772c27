"""What hosts brought and is not written yet, within bounds: for each host and for all.

A host that has brought as much as it may is told to come again: its agent keeps the
samples until what waits is written. Of lines the oldest go. Safe in any thread.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from agent_client.protocol.plugins import PluginSample
from agents.plugins.spans import LEVELS, Span, SpanKey, start_of
from dialer_platform.errors import TooMany

MAX_FIGURES = 600_000
"""Of all hosts: 115 MB (measured), 5,000 hosts with the built-in plug-ins between two writes."""
MAX_FIGURES_PER_HOST = 25_000
"""Fifty plug-ins with two hundred metrics each, in a minute and in a quarter of an hour."""
MAX_LINES = 50_000
MAX_LINES_PER_HOST = 5_000


class Line(NamedTuple):
    """One line that waits to be written."""

    agent_id: str
    plugin: str
    at: float
    text: str


class Waiting:
    """Spans and lines in memory; a span counts as one figure and each of its figures as one."""

    def __init__(self, dropped: Counter[str]) -> None:
        """Count in `dropped` what finds no room: metrics of a span, and lines."""
        self._guard = threading.Lock()
        self._dropped = dropped
        self._spans: dict[SpanKey, Span] = {}
        self._figures: Counter[str] = Counter()
        self._total = 0
        self._lines: dict[str, deque[Line]] = {}
        self._line_count = 0

    def check_room(self, agent_id: str) -> None:
        """Raise TooMany while as much waits of a host, or of all, as may."""
        with self._guard:
            is_full = self._figures[agent_id] >= MAX_FIGURES_PER_HOST
            is_full = is_full or self._total >= MAX_FIGURES
        if is_full:
            raise TooMany("Too many samples wait to be written.", code="slow_down")

    def add(self, agent_id: str, samples: Iterable[PluginSample]) -> None:
        """Take checked samples of one host."""
        with self._guard:
            for sample in samples:
                self._add_figures(agent_id, sample)
                self._add_lines(agent_id, sample)

    def take(self) -> tuple[dict[SpanKey, Span], list[Line]]:
        """Return what waits and forget it."""
        with self._guard:
            spans, self._spans = self._spans, {}
            lines = [line for waiting in self._lines.values() for line in waiting]
            self._forget()
        return spans, lines

    def give_back(self, spans: Mapping[SpanKey, Span], lines: Sequence[Line]) -> None:
        """Keep spans for another try; lines that the database refused are lost."""
        with self._guard:
            for key, span in spans.items():
                known = self._spans.setdefault(key, span)
                before = 0 if known is span else _weight(known)
                if known is not span:
                    known.absorb(span)
                self._count(key.agent_id, _weight(known) - before)
            self._dropped["lines"] += len(lines)

    def clear(self) -> None:
        """Forget everything; for tests."""
        with self._guard:
            self._spans = {}
            self._forget()

    def _forget(self) -> None:
        """Forget the counts and the lines; the caller holds the guard."""
        self._lines.clear()
        self._figures.clear()
        self._total = self._line_count = 0

    def _count(self, agent_id: str, figures: int) -> None:
        """Count figures of a host; the caller holds the guard."""
        self._figures[agent_id] += figures
        self._total += figures

    def _add_figures(self, agent_id: str, sample: PluginSample) -> None:
        """Add a sample to its minute and its quarter; the caller holds the guard."""
        for level in LEVELS:
            key = SpanKey(agent_id, sample.plugin, level, start_of(sample.at, level))
            span = self._spans.get(key)
            before = 0 if span is None else _weight(span)
            if span is None:
                span = self._spans[key] = Span()
            self._dropped["metrics"] += span.add(sample.at, sample.metrics)
            self._count(agent_id, _weight(span) - before)

    def _add_lines(self, agent_id: str, sample: PluginSample) -> None:
        """Add a sample's lines; the oldest of the host make room; the caller holds the guard."""
        if not sample.lines:
            return
        waiting = self._lines.setdefault(agent_id, deque())
        for text in sample.lines:
            if len(waiting) < MAX_LINES_PER_HOST and self._line_count < MAX_LINES:
                self._line_count += 1
            else:
                self._dropped["lines"] += 1
                if not waiting:
                    continue
                waiting.popleft()
            waiting.append(Line(agent_id, sample.plugin, sample.at, text))


def _weight(span: Span) -> int:
    """Return how many figures a span counts as."""
    return 1 + len(span.figures)
