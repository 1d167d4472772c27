"""Samples from memory into spans and lines: sums, bounds, failures, retention, metrics."""

from __future__ import annotations

import time

import pytest
from django.conf import settings
from django.db import DatabaseError

from agent_client.protocol.plugins import PluginSample
from agents.plugins import metrics, queries, retention, store
from agents.plugins.series.models import PluginLine, PluginSpan
from agents.plugins.spans import MAX_METRICS_PER_SPAN, MINUTE, QUARTER, Figure, Span, decode, encode

pytestmark = pytest.mark.django_db(databases="__all__")

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """Stand still."""
    monkeypatch.setattr(time, "time", lambda: NOW)


def sample(value: float = 1.0, at: float = NOW, lines: tuple[str, ...] = ()) -> PluginSample:
    """Return a sample of cpu."""
    return PluginSample(plugin="cpu", at=at, metrics={"usage_percent": value}, lines=lines)


def figure(level: int = MINUTE) -> Figure:
    """Return the stored figure of the only span of a level."""
    return decode(PluginSpan.objects.get(level=level).figures)["usage_percent"]


def test_samples_of_a_minute_add_up_over_flushes():
    for value in (10.0, 30.0, 20.0):
        store.add("a-1", [sample(value)], tenant_id="default")
        store.flush()
    assert figure() == figure(QUARTER) == Figure(3, 60.0, 10.0, 30.0, 20.0)
    assert figure().mean == 20.0


def test_late_sample_does_not_become_the_last():
    store.add("a-1", [sample(5.0, at=NOW + 20), sample(9.0, at=NOW + 10)], tenant_id="default")
    store.flush()
    store.add("a-1", [sample(7.0, at=NOW + 15)], tenant_id="default")
    store.flush()
    assert figure() == Figure(3, 21.0, 5.0, 9.0, 5.0)


def test_hosts_and_plugins_are_kept_apart():
    other = PluginSample(plugin="disk", at=NOW, metrics={"usage_percent": 3.0})
    store.add("a-1", [sample(1.0), other], tenant_id="default")
    store.add("a-2", [sample(2.0)], tenant_id="default")
    store.flush()
    rows = PluginSpan.objects.filter(level=MINUTE).values_list("agent_id", "plugin")
    assert sorted(rows) == [("a-1", "cpu"), ("a-1", "disk"), ("a-2", "cpu")]


def test_flush_of_many_hosts_is_few_queries(django_assert_max_num_queries):
    for number in range(100):
        store.add(f"a-{number}", [sample()], tenant_id="default")
    with django_assert_max_num_queries(10, using=settings.SERIES_DATABASE):
        assert store.flush() == 200


def test_figures_come_again_after_a_database_in_trouble(monkeypatch):
    store.add("a-1", [sample(4.0, lines=("lost",))], tenant_id="default")

    def broken(*_args: object) -> None:
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write", broken)
        with pytest.raises(DatabaseError):
            store.flush()
    store.add("a-1", [sample(6.0)], tenant_id="default")
    store.flush()
    assert figure() == Figure(2, 10.0, 4.0, 6.0, 6.0)
    assert store.dropped["lines"] == 1


def test_spans_in_memory_are_bounded_and_counted(monkeypatch):
    monkeypatch.setattr(store, "MAX_SPANS", 2)
    store.add("a-1", [sample()], tenant_id="default")
    store.add("a-2", [sample()], tenant_id="default")
    assert store.flush() == 2
    assert store.dropped["samples"] == 2


def test_metrics_of_a_span_are_bounded():
    span = Span()
    assert span.add(NOW, {f"m{n}": 1.0 for n in range(MAX_METRICS_PER_SPAN + 5)}) == 5
    span.absorb(Span(NOW, {"older": Figure(1, 1.0, 1.0, 1.0, 1.0)}))
    assert len(span.figures) == MAX_METRICS_PER_SPAN


def test_figures_survive_their_storing_and_nonsense_counts_as_none():
    one = {"x": Figure(2, 3.25, 1.0, 2.25, 2.25)}
    assert decode(encode(one)) == one
    assert decode("nonsense") == decode('{"x": 1}') == {}


def test_lines_are_kept_in_order_and_only_the_newest_of_a_host(monkeypatch):
    monkeypatch.setattr(store, "KEEP_LINES_PER_AGENT", 10)
    monkeypatch.setattr(store, "TRIM_AFTER_LINES", 5)
    store.add("a-2", [sample(lines=("other",))], tenant_id="default")
    for start in range(0, 30, 5):
        store.add(
            "a-1", [sample(lines=tuple(f"line {start + n}" for n in range(5)))], tenant_id="default"
        )
        store.flush()
    kept = [line["text"] for line in queries.lines_of("a-1", "cpu", limit=100)]
    assert kept == [f"line {n}" for n in range(20, 30)]
    assert PluginLine.objects.filter(agent_id="a-2").count() == 1


def test_waiting_lines_of_one_host_push_out_its_own_oldest(monkeypatch):
    monkeypatch.setattr(store, "KEEP_LINES_PER_AGENT", 3)
    monkeypatch.setattr(store, "MAX_LINES_WAITING", 4)
    store.add("a-1", [sample(lines=tuple("abcde"))], tenant_id="default")
    store.add("a-2", [sample(lines=tuple("xyz"))], tenant_id="default")
    store.add("a-3", [sample(lines=("no room",))], tenant_id="default")
    store.flush()
    assert [one["text"] for one in queries.lines_of("a-1", "cpu")] == ["c", "d", "e"]
    assert [one["text"] for one in queries.lines_of("a-2", "cpu")] == ["z"]
    assert queries.lines_of("a-3", "cpu") == []
    assert store.dropped["lines"] == 5


def test_spans_are_read_by_window_and_metric():
    two = {"used_percent[/]": 5.0, "used_percent[/home]": 6.0, "total_bytes[/]": 7.0}
    store.add("a-1", [PluginSample(plugin="disk", at=NOW, metrics=two)], tenant_id="default")
    store.flush()
    level, spans = queries.spans_of("a-1", "disk", since=NOW - 3_600, metric="used_percent")
    assert (level, [sorted(span.figures) for span in spans]) == (
        MINUTE,
        [["used_percent[/]", "used_percent[/home]"]],
    )
    assert queries.spans_of("a-1", "disk", since=NOW - 86_400)[0] == QUARTER
    assert queries.last_samples("a-1")["disk"].timestamp() == NOW


def test_old_spans_and_lines_go_and_newer_ones_stay(settings):
    settings.PLUGIN_SAMPLES_KEPT_DAYS = 30
    days = 86_400
    for age_days in (0, 3, 31):
        at = NOW - age_days * days
        store.add("a-1", [sample(at=at, lines=(f"{age_days}",))], tenant_id="default")
    store.flush()
    assert retention.trim() == 4
    assert PluginSpan.objects.filter(level=MINUTE).count() == 1
    assert PluginSpan.objects.filter(level=QUARTER).count() == 2
    assert set(PluginLine.objects.values_list("text", flat=True)) == {"0", "3"}


def test_surplus_goes_minutes_first_and_oldest_first(settings):
    settings.PLUGIN_SAMPLES_MAX_ROWS = 3
    store.add("a-1", [sample(at=NOW - 900), sample()], tenant_id="default")
    store.flush()
    assert retention.trim() == 1
    left = PluginSpan.objects.order_by("level", "start").values_list("level", "start")
    assert list(left) == [
        (MINUTE, int(NOW)),
        (QUARTER, int(NOW - 900)),
        (QUARTER, int(NOW)),
    ]


def test_newest_values_are_figures_of_prometheus_until_they_are_stale():
    store.add("a-1", [sample(3.0), sample(2.0, at=NOW - 60)], tenant_id="default")
    store.add("a-2", [sample(9.0, at=NOW - metrics.STALE_SECONDS - 1)], tenant_id="default")
    family = metrics.read(None, clock=lambda: NOW)[0]
    assert family.name == "dialer_plugin_value"
    assert [(one.labels, one.value) for one in family.samples] == [
        ({"tenant": "default", "agent": "a-1", "plugin": "cpu", "metric": "usage_percent"}, 3.0)
    ]


def test_figures_of_prometheus_are_bounded(monkeypatch):
    monkeypatch.setattr(metrics, "MAX_VALUES", 2)
    monkeypatch.setattr(store, "MAX_NEWEST", 3)
    for number in range(5):
        store.add(f"a-{number}", [sample()], tenant_id="default")
    assert sorted(store.newest()) == [(f"a-{n}", "cpu") for n in (2, 3, 4)]
    family = metrics.read(None, clock=lambda: NOW)[0]
    assert len(family.samples) == 2


@pytest.mark.parametrize(("took", "pause"), [(0.01, 3.0), (2.0, 8.0), (60.0, 30.0)])
def test_writing_takes_a_small_part_of_the_time(took, pause):
    assert store.pause_after(took) == pause
