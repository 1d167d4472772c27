"""What a plug-in measured as charts: one per metric, a line per part such as a mount. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from django.utils.translation import gettext_lazy as _

from agents.plugins.descriptions import About
from agents.plugins.queries import SpanView
from agents.plugins.spans import base_of
from dialer_platform.console import drawing, extension, wording

WINDOWS = {"1h": 3_600, "24h": 86_400, "7d": 7 * 86_400}
WIDTH, HEIGHT = 720.0, 120.0
TONES = ("accent", "done", "waiting", "running", "quiet", "failed")
MAX_LINES = 6
MAX_CHARTS = 12
"""Of a plug-in that is not built in; its metrics are drawn by name."""
MAX_GAP_SPANS = 3
"""A line is broken where the host said nothing for longer: it was not so in between."""

SHOWN: dict[str, tuple[str, ...]] = {
    "cpu": ("usage_percent", "load_1m"),
    "memory": ("used_percent", "swap_used_percent"),
    "disk": ("used_percent", "read_bytes_per_second", "write_bytes_per_second"),
    "network": ("received_bytes_per_second", "sent_bytes_per_second"),
    "log_tail": ("lines",),
}
TITLES: dict[tuple[str, str], extension.Text] = {
    ("cpu", "usage_percent"): _("CPU in use"),
    ("cpu", "load_1m"): _("Load of one minute"),
    ("memory", "used_percent"): _("Memory in use"),
    ("memory", "swap_used_percent"): _("Swap in use"),
    ("disk", "used_percent"): _("Disk in use"),
    ("disk", "read_bytes_per_second"): _("Disk reads"),
    ("disk", "write_bytes_per_second"): _("Disk writes"),
    ("network", "received_bytes_per_second"): _("Network, received"),
    ("network", "sent_bytes_per_second"): _("Network, sent"),
    ("log_tail", "lines"): _("Lines followed"),
}

UNITS = {
    "percent": "percent",
    "%": "percent",
    "bytes": "bytes",
    "B": "bytes",
    "bytes/s": "bytes/s",
    "B/s": "bytes/s",
}
ENDINGS = {"_percent": "percent", "_bytes": "bytes", "_bytes_per_second": "bytes/s"}

Point = tuple[float, float]
NOTHING_SAID: About = MappingProxyType({})


class Line(NamedTuple):
    """One part of a metric: pieces of an SVG polyline, and its last value in words."""

    name: str
    tone: str
    pieces: tuple[str, ...]
    latest: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One metric over a window; `top` is the value at its upper edge, in words."""

    title: extension.Text
    lines: tuple[Line, ...]
    top: str
    hidden_lines: int = 0
    about: str = ""
    """What the plug-in says of the metric."""


def charts(
    plugin: str,
    spans: Sequence[SpanView],
    *,
    level: int,
    window: str,
    now: float,
    about: About = NOTHING_SAID,
) -> list[Chart]:
    """Return the charts of a plug-in's spans within the window that ends now.

    about is what the plug-in says of its metrics; a unit that it names counts.
    """
    names = sorted({name for span in spans for name in span.figures})
    metrics = SHOWN.get(plugin) or tuple(dict.fromkeys(base_of(one) for one in names))[:MAX_CHARTS]
    found = []
    for metric in metrics:
        parts = [one for one in names if base_of(one) == metric]
        if parts:
            said = about.get(metric, {})
            chart = _chart(metric, parts, spans, level, WINDOWS[window], now, said.get("unit", ""))
            title = TITLES.get((plugin, metric))
            # A title of ours says it already, in the reader's language.
            help_text = "" if title else said.get("help", "")
            found.append(replace(chart, title=title or metric, about=help_text))
    return found


def say(metric: str, value: float, unit: str = "") -> str:
    """Return a value in words; without a unit the end of the metric's name tells it."""
    kind = _kind(metric, unit)
    if kind == "percent":
        return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %"
    if kind == "bytes":
        return wording.size(value)
    if kind == "bytes/s":
        return f"{wording.size(value)}/s"
    number = f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{number} {unit}" if unit else number


def _kind(metric: str, unit: str) -> str:
    """Return percent, bytes, bytes/s or "" for any other unit."""
    if unit:
        return UNITS.get(unit, "")
    return next((kind for end, kind in ENDINGS.items() if metric.endswith(end)), "")


def _chart(
    metric: str,
    parts: Sequence[str],
    spans: Sequence[SpanView],
    level: int,
    seconds: int,
    now: float,
    unit: str,
) -> Chart:
    """Return the chart of one metric."""
    series = {
        part: [
            (span.start + level / 2, span.figures[part].mean)
            for span in spans
            if part in span.figures
        ]
        for part in parts[:MAX_LINES]
    }
    top = _top(metric, unit)(max(value for points in series.values() for _at, value in points))
    lines = tuple(
        Line(
            name=_part(part),
            tone=TONES[place % len(TONES)],
            pieces=_pieces(points, start=now - seconds, seconds=seconds, top=top, level=level),
            latest=say(metric, points[-1][1], unit),
        )
        for place, (part, points) in enumerate(series.items())
    )
    hidden_lines = max(0, len(parts) - MAX_LINES)
    return Chart(metric, lines, say(metric, top, unit), hidden_lines=hidden_lines)


def _pieces(
    points: Sequence[Point], *, start: float, seconds: int, top: float, level: int
) -> tuple[str, ...]:
    """Return the points as pieces of a line, broken where nothing was measured for long."""
    pieces: list[list[Point]] = []
    for point in points:
        if not pieces or point[0] - pieces[-1][-1][0] > MAX_GAP_SPANS * level:
            pieces.append([])
        pieces[-1].append(point)
    for piece in pieces:
        if len(piece) == 1:  # one value alone becomes a short dash
            at, value = piece[0]
            piece[:] = [(at - level / 2, value), (at + level / 2, value)]
    return tuple(
        " ".join(
            f"{_bounded((at - start) / seconds) * WIDTH:.1f},"
            f"{HEIGHT - _bounded(value / top) * HEIGHT:.1f}"
            for at, value in piece
        )
        for piece in pieces
    )


def _bounded(share: float) -> float:
    """Return a share within 0 and 1."""
    return min(max(share, 0.0), 1.0)


def _top(metric: str, unit: str) -> Callable[[float], float]:
    """Return what makes the round top of a metric's scale."""
    kind = _kind(metric, unit)
    if kind == "percent":
        return drawing.percent_top
    return drawing.size_top if kind else drawing.nice_top


def _part(name: str) -> str:
    """Return the part of `used_bytes[/home]`, "" for none."""
    return name.partition("[")[2].removesuffix("]")
