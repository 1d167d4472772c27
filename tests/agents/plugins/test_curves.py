"""Charts of plug-ins: units in the plug-in's words, else by the metric's name."""

from __future__ import annotations

import pytest

from agents.plugins.curves import charts, say
from agents.plugins.queries import SpanView
from agents.plugins.spans import Figure

NOW = 1_700_000_000.0


def spans(**values: float) -> list[SpanView]:
    """Return one span with these values."""
    figures = {name: Figure(1, v, v, v, v) for name, v in values.items()}
    return [SpanView(int(NOW) - 60, NOW - 1, figures)]


@pytest.mark.parametrize(
    ("metric", "value", "unit", "words"),
    [
        ("used_percent", 42.0, "", "42 %"),
        ("used_bytes", 2048.0, "", "2 kB"),
        ("read_bytes_per_second", 2048.0, "", "2 kB/s"),
        ("load", 1.234, "", "1.23"),
        ("heat", 61.5, "°C", "61.5 °C"),
        ("share", 5.0, "percent", "5.0 %"),
        ("size", 2048.0, "bytes", "2 kB"),
        ("flow", 2048.0, "B/s", "2 kB/s"),
        # What the plug-in says counts, whatever the name ends in.
        ("free_bytes", 5.0, "blocks", "5 blocks"),
    ],
)
def test_value_is_said_with_its_unit(metric, value, unit, words):
    assert say(metric, value, unit) == words


def test_chart_says_what_the_plugin_says_of_its_metric():
    about = {"heat": {"unit": "°C", "help": "Of the hottest core."}}
    (chart,) = charts("gpu", spans(heat=61.0), level=60, window="1h", now=NOW, about=about)
    assert (chart.title, chart.about) == ("heat", "Of the hottest core.")
    assert (chart.lines[0].latest, chart.top.endswith(" °C")) == ("61 °C", True)


def test_title_of_a_built_in_metric_needs_no_further_words():
    about = {"usage_percent": {"unit": "percent", "help": "Time not idle."}}
    (chart,) = charts("cpu", spans(usage_percent=5.0), level=60, window="1h", now=NOW, about=about)
    assert (str(chart.title), chart.about) == ("CPU in use", "")
