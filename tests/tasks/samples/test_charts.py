"""Charts: only what there is, round scales, words for who cannot see or hover."""

from __future__ import annotations

import pytest

from dialer_platform.console import drawing
from tasks.samples import charts
from tasks.samples.sample import Sample

MB = 1024 * 1024
PLAIN = [Sample(100, 0.0, 100 * MB), Sample(110, 150.0, 300 * MB), Sample(120, 50.0, 200 * MB)]


def test_task_without_gpu_has_two_charts():
    assert [chart.label for chart in charts.charts(PLAIN)] == ["CPU", "Memory"]


def test_gpu_adds_two_charts():
    samples = [Sample(at, 1.0, 1, 80.0, 20_480) for at in (1, 3)]
    found = charts.charts(samples)
    assert [chart.label for chart in found] == ["CPU", "Memory", "GPU", "GPU memory"]
    assert (found[2].top, found[3].latest) == ("100 %", "20 GB")


@pytest.mark.parametrize("samples", [[], PLAIN[:1]])
def test_one_sample_is_no_curve(samples):
    assert charts.charts(samples) == []


def test_chart_says_range_last_value_and_scale():
    cpu = charts.charts(PLAIN)[0]
    assert (cpu.low, cpu.high, cpu.latest, cpu.top) == ("0 %", "150 %", "50 %", "150 %")
    assert cpu.summary == "CPU over 20 s: 0 % to 150 %, last 50 %"


def test_range_says_the_unit_once_where_it_is_the_same():
    assert [chart.range for chart in charts.charts(PLAIN)] == ["0 – 150 %", "100 – 300 MB"]
    small = [Sample(1, 0.0, 500), Sample(3, 0.0, 3 * MB)]
    assert charts.charts(small)[1].range == "500 B – 3 MB"


def test_time_counts_from_the_start_of_the_task():
    cpu = charts.charts(PLAIN, started_at=98.5)[0]
    assert (cpu.start, cpu.end) == ("1 s", "21 s")
    assert cpu.bands[1].title == "11 s · 150 %"


def test_sample_before_the_start_is_no_negative_time():
    assert charts.charts(PLAIN, started_at=500.0)[0].start == "0 s"


def test_bands_are_few_and_say_the_highest_value():
    samples = [Sample(at, float(at == 50), 1) for at in range(300)]
    cpu = charts.charts(samples)[0]
    assert len(cpu.bands) == charts.MAX_BANDS
    assert "50 s · 1.0 %" in [band.title for band in cpu.bands]


def test_samples_out_of_order_are_drawn_from_left_to_right():
    assert charts.charts(PLAIN[::-1])[0].points == charts.charts(PLAIN)[0].points


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 100), (99, 100), (101, 150), (390, 400), (801, 1000)]
)
def test_scale_of_percent_is_round(highest, top):
    assert drawing.percent_top(highest) == top


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 1), (700, 800), (3 * MB, 3 * MB), (1.2 * 1024 * MB, 1.5 * 1024 * MB)]
)
def test_scale_of_sizes_is_round_in_its_unit(highest, top):
    assert drawing.size_top(highest) == top
