"""Samples from memory into spans and lines: sums, bounds, failures, retention, metrics."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import DatabaseError

from agent_client.protocol.plugins import PluginSample
from agents.plugins import metrics, queries, retention, store, waiting
from agents.plugins.series.models import PluginLine, PluginSpan
from agents.plugins.shares import shares
from agents.plugins.spans import MAX_METRICS_PER_SPAN, MINUTE, QUARTER, Figure, Span, decode, encode
from dialer_platform.errors import TooMany
from dialer_platform.storage.free_space import DiskFull

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


def test_host_with_enough_waiting_is_told_to_come_again_until_it_is_written(monkeypatch):
    monkeypatch.setattr(waiting, "MAX_FIGURES_PER_HOST", 4)
    store.add("a-1", [sample()], tenant_id="default")
    with pytest.raises(TooMany):
        store.waiting.check_room("a-1")
    store.waiting.check_room("a-2")
    store.flush()
    store.waiting.check_room("a-1")


def test_all_hosts_together_have_a_bound(monkeypatch):
    monkeypatch.setattr(waiting, "MAX_FIGURES", 8)
    store.add("a-1", [sample(), sample()], tenant_id="default")
    store.waiting.check_room("a-2")
    store.add("a-2", [sample()], tenant_id="default")
    with pytest.raises(TooMany):
        store.waiting.check_room("a-3")


def test_what_was_given_back_counts_as_waiting(monkeypatch):
    monkeypatch.setattr(waiting, "MAX_FIGURES_PER_HOST", 4)
    store.add("a-1", [sample()], tenant_id="default")
    spans, lines = store.waiting.take()
    store.add("a-1", [sample()], tenant_id="default")
    store.waiting.give_back(spans, lines)
    with pytest.raises(TooMany):
        store.waiting.check_room("a-1")
    assert store.flush() == 2
    assert figure().samples == 2


def test_nothing_is_written_or_lost_while_the_disk_is_full(monkeypatch, tmp_path):
    store.add("a-1", [sample(lines=("kept",))], tenant_id="default")
    with monkeypatch.context() as patch:
        # Whatever database the tests run on: a file on a disk without room.
        file = SimpleNamespace(vendor="sqlite", settings_dict={"NAME": tmp_path / "series.sqlite3"})
        patch.setattr(store, "connections", {settings.SERIES_DATABASE: file})
        patch.setattr("dialer_platform.storage.free_space.MIN_FREE_BYTES", 2**62)
        with pytest.raises(DiskFull):
            store.flush()
    assert not PluginSpan.objects.exists()
    assert store.flush() == 3


def test_row_is_bounded_and_what_finds_no_room_is_counted(monkeypatch):
    monkeypatch.setattr(store, "MAX_ROW_BYTES", 1_000)
    many = {f"{n:0>100}": float(n) for n in range(100)}
    store.add("a-1", [PluginSample("cpu", NOW, many)], tenant_id="default")
    store.flush()
    for text in PluginSpan.objects.values_list("figures", flat=True):
        assert 900 < len(text) <= 1_000
    kept = [len(decode(text)) for text in PluginSpan.objects.values_list("figures", flat=True)]
    assert store.dropped["metrics"] == 200 - sum(kept)


def test_metrics_of_a_span_are_bounded():
    span = Span()
    assert span.add(NOW, {f"m{n}": 1.0 for n in range(MAX_METRICS_PER_SPAN + 5)}) == 5
    span.absorb(Span(NOW, {"older": Figure(1, 1.0, 1.0, 1.0, 1.0)}))
    assert len(span.figures) == MAX_METRICS_PER_SPAN


def test_figures_survive_their_storing_and_nonsense_counts_as_none():
    one = {"x": Figure(2, 3.25, 1.0, 2.25, 2.25)}
    assert decode(encode(one, limit_bytes=100)[0]) == one
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
    monkeypatch.setattr(waiting, "MAX_LINES_PER_HOST", 3)
    monkeypatch.setattr(waiting, "MAX_LINES", 4)
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


def spans_of(agent_id: str, number: int) -> None:
    """Store so many minutes of a host."""
    PluginSpan.objects.bulk_create(
        PluginSpan(agent_id=agent_id, plugin="cpu", level=MINUTE, start=int(NOW) - 60 * n)
        for n in range(number)
    )


def test_host_with_many_rows_gives_them_and_one_with_few_none(settings):
    settings.PLUGIN_SAMPLES_MAX_ROWS = 20
    # The oldest row of all belongs to the host with few.
    PluginSpan.objects.create(agent_id="few", plugin="cpu", level=MINUTE, start=int(NOW) - 9_000)
    spans_of("few", 4)
    spans_of("many", 30)
    spans_of("more", 40)
    retention.trim()
    left = Counter(PluginSpan.objects.values_list("agent_id", flat=True))
    assert left == {"few": 5, "many": 7, "more": 8}
    newest = PluginSpan.objects.filter(agent_id="more").values_list("start", flat=True)
    assert min(newest) == int(NOW) - 60 * 7


def test_rows_of_one_host_are_bounded_also_when_there_is_room(monkeypatch):
    monkeypatch.setattr(retention, "MAX_ROWS_PER_HOST", 10)
    spans_of("a-1", 15)
    spans_of("a-2", 10)
    assert retention.trim() == 5


@pytest.mark.parametrize(
    ("counts", "total", "kept"),
    [
        ({}, 5, {}),
        ({"a": 3}, 5, {"a": 3}),
        ({"a": 9}, 5, {"a": 5}),
        ({"a": 1, "b": 9, "c": 9}, 9, {"a": 1, "b": 4, "c": 4}),
        ({"a": 9, "b": 9}, 1, {"a": 0, "b": 1}),
    ],
)
def test_shares_leave_the_small_ones_alone(counts, total, kept):
    assert shares(counts, total) == kept


def test_one_host_does_not_use_up_the_figures_of_prometheus(monkeypatch):
    monkeypatch.setattr(metrics, "MAX_VALUES", 10)
    many = {f"m{n}": 1.0 for n in range(50)}
    store.add("a-1", [PluginSample("cpu", NOW, many)], tenant_id="default")
    store.add("a-2", [sample()], tenant_id="default")
    values, _counters, left_out, _infos = metrics.read(None, clock=lambda: NOW)
    shown = Counter(one.labels["agent"] for one in values.samples)
    assert shown == {"a-1": 9, "a-2": 1}
    assert left_out.samples[0].value == 41


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
