"""Curves of a task as shapes and words: CPU, memory, GPU, GPU memory over time.

Pure: samples in, charts out. A chart has some forty bands across it whose titles say time
and value, so that hovering needs no script.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dialer_platform.console import drawing, extension, wording
from tasks.samples.sample import Sample

MAX_BANDS = 40
MB = wording.KILO**2


class Band(NamedTuple):
    """A part of a chart, of 100 wide, and what it says when hovered."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One curve with the words around it; `points` as of an SVG polyline."""

    label: str
    tone: str
    points: str
    latest: str
    low: str
    high: str
    top: str
    start: str
    end: str
    bands: tuple[Band, ...]

    @property
    def range(self) -> str:
        """Return the lowest and the highest value, "20.5 – 38.1 GB"."""
        low, _space, unit = self.low.rpartition(" ")
        return f"{low if self.high.endswith(f' {unit}') else self.low} – {self.high}"

    @property
    def summary(self) -> str:
        """Return the chart in one sentence, for who cannot see it."""
        words = _("%(label)s over %(time)s: %(low)s to %(high)s, last %(latest)s")
        return words % {
            "label": self.label,
            "time": self.end,
            "low": self.low,
            "high": self.high,
            "latest": self.latest,
        }


class _Kind(NamedTuple):
    """One figure of a sample: its name, its words, and the top of its scale."""

    label: extension.Text
    tone: str
    value: Callable[[Sample], float | None]
    say: Callable[[float], str]
    top: Callable[[float], float]


def charts(samples: Sequence[Sample], *, started_at: float | None = None) -> list[Chart]:
    """Return the charts of what the samples hold; none below two samples.

    started_at (seconds since the epoch) is where time counts from, else the first sample.
    """
    ordered = sorted(samples, key=lambda sample: sample.time)
    found = [_chart(kind, ordered, started_at) for kind in _KINDS]
    return [chart for chart in found if chart]


def percent(value: float) -> str:
    """Say a usage as "87 %"."""
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


def _chart(kind: _Kind, samples: Sequence[Sample], started_at: float | None) -> Chart | None:
    """Return the chart of one figure, None where there are not two values of it."""
    known = [(one.time, value) for one in samples if (value := kind.value(one)) is not None]
    if len(known) < 2:
        return None
    values = [value for _time, value in known]
    first, last = known[0][0], known[-1][0]
    begin = first if started_at is None else min(started_at, first)
    top = kind.top(max(values))
    return Chart(
        label=str(kind.label),
        tone=kind.tone,
        points=drawing.timed_points(known, top=top),
        latest=kind.say(values[-1]),
        low=kind.say(min(values)),
        high=kind.say(max(values)),
        top=kind.say(top),
        start=wording.duration(int(first - begin)),
        end=wording.duration(int(last - begin)),
        bands=_bands(known, kind, begin),
    )


def _bands(known: Sequence[tuple[int, float]], kind: _Kind, begin: float) -> tuple[Band, ...]:
    """Return the bands of a curve; each says its highest value and when it began."""
    first, last = known[0][0], known[-1][0]
    count = min(MAX_BANDS, len(known))
    width = drawing.SPARK_WIDTH / count
    highest: dict[int, tuple[float, int]] = {}
    for time, value in known:
        place = min(int((time - first) / max(last - first, 1) * count), count - 1)
        if place not in highest or value > highest[place][0]:
            highest[place] = (value, time)
    return tuple(
        Band(
            round(place * width, 2),
            round(width, 2),
            f"{wording.duration(int(time - begin))} · {kind.say(value)}",
        )
        for place, (value, time) in sorted(highest.items())
    )


_KINDS = (
    _Kind(
        gettext_lazy("CPU"),
        "running",
        lambda sample: sample.cpu_usage,
        percent,
        drawing.percent_top,
    ),
    _Kind(
        gettext_lazy("Memory"),
        "accent",
        lambda one: one.memory_bytes,
        wording.size,
        drawing.size_top,
    ),
    _Kind(gettext_lazy("GPU"), "done", lambda one: one.gpu_usage, percent, drawing.percent_top),
    _Kind(
        gettext_lazy("GPU memory"),
        "waiting",
        lambda one: None if one.gpu_memory_mb is None else one.gpu_memory_mb * MB,
        wording.size,
        drawing.size_top,
    ),
)
