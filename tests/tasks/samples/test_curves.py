"""Curves: who may draw them, how they thin out, what survives."""

from __future__ import annotations

import pytest

from tasks.samples import curves, files
from tests.tasks.samples.conftest import START

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(host, submit):
    """Return a running task of the host."""
    return host.run(submit())


def cpu(task) -> list[float]:
    """Return the CPU curve of a task as it is stored."""
    return [sample.cpu_usage for sample in files.read(task.pk)]


def test_looks_of_a_running_task_are_stored(clock, host, running, say):
    for usage in (10, 20):
        say(host.agent.pk, running.pk, running.offer, cpu_usage=usage, memory_bytes=5)
        clock.now += 2
    assert cpu(running) == [10.0, 20.0]
    assert files.read(running.pk)[0].time == START


def test_looks_between_two_samples_are_folded(clock, host, running, say):
    for usage in (10, 20, 40):
        say(host.agent.pk, running.pk, running.offer, cpu_usage=usage)
        clock.now += 1
    assert cpu(running) == [10.0, 30.0]


def test_other_host_draws_nothing(clock, new_host, running, say):
    say(new_host("stranger").agent.pk, running.pk, running.offer, cpu_usage=99)
    assert cpu(running) == []


def test_void_offer_draws_nothing(clock, host, running, say):
    say(host.agent.pk, running.pk, running.offer + 1, cpu_usage=99)
    assert cpu(running) == []


def test_stranger_cannot_go_on_with_a_known_curve(clock, host, new_host, running, say):
    say(host.agent.pk, running.pk, running.offer, cpu_usage=10)
    clock.now += 2
    say(new_host("stranger").agent.pk, running.pk, running.offer, cpu_usage=99)
    assert cpu(running) == [10.0]


def test_task_that_has_ended_is_not_drawn(clock, host, running, say):
    host.finish(running)
    say(host.agent.pk, running.pk, running.offer, cpu_usage=10)
    assert cpu(running) == []


def test_known_tasks_cost_no_query(clock, host, running, say, django_assert_num_queries):
    say(host.agent.pk, running.pk, running.offer)
    with django_assert_num_queries(0):
        say(host.agent.pk, running.pk, running.offer)


def test_full_curve_is_halved_and_goes_on_slower(clock, host, running, say, monkeypatch):
    monkeypatch.setattr(curves, "MAX_SAMPLES", 8)
    for _second in range(200):
        say(host.agent.pk, running.pk, running.offer, cpu_usage=50)
        clock.now += 1
    samples = files.read(running.pk)
    assert 4 <= len(samples) < 8
    assert samples[-1].time - samples[-2].time == curves.step_seconds(180)


def test_peak_of_memory_survives_thinning(clock, host, running, say, monkeypatch):
    monkeypatch.setattr(curves, "MAX_SAMPLES", 8)
    for second in range(100):
        peak = 9_000 if second == 13 else 1_000
        say(host.agent.pk, running.pk, running.offer, memory_bytes=peak)
        clock.now += 1
    assert max(sample.memory_bytes for sample in files.read(running.pk)) == 9_000


def test_curve_goes_on_after_a_restart(clock, host, running, say):
    say(host.agent.pk, running.pk, running.offer, cpu_usage=10)
    curves.clear()
    clock.now += 2
    say(host.agent.pk, running.pk, running.offer, cpu_usage=20)
    assert cpu(running) == [10.0, 20.0]


def test_last_looks_are_kept_when_nobody_speaks_of_the_task(clock, host, running, say):
    for _look in range(2):
        say(host.agent.pk, running.pk, running.offer, cpu_usage=10)
    clock.now += curves.SILENT_SECONDS + 1
    curves.take([])
    assert cpu(running) == [10.0, 10.0]
    assert curves._state.curves == {}


def test_clock_set_back_does_not_stop_a_curve(clock, host, running, say):
    say(host.agent.pk, running.pk, running.offer, cpu_usage=10)
    clock.now -= 3_600
    say(host.agent.pk, running.pk, running.offer, cpu_usage=20)
    assert cpu(running) == [10.0, 20.0]


def test_disk_in_trouble_is_counted_and_met_again(clock, host, running, say, monkeypatch, caplog):
    def refuse(*_arguments: object) -> None:
        raise OSError("disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(files, "append", refuse)
        say(host.agent.pk, running.pk, running.offer, cpu_usage=10)
    say(host.agent.pk, running.pk, running.offer, cpu_usage=20)
    assert (curves.count_dropped(), cpu(running)) == (1, [20.0])
    assert "disk is full" in caplog.text


def test_more_tasks_than_there_is_room_for_are_counted(clock, host, submit, say, monkeypatch):
    monkeypatch.setattr(curves, "MAX_CURVES", 1)
    for task in [host.run(submit()) for _task in range(2)]:
        say(host.agent.pk, task.pk, task.offer)
    assert curves.count_dropped() == 1


def test_round_writes_so_many_files_at_most(clock, host, submit, say, monkeypatch):
    monkeypatch.setattr(curves, "MAX_WRITES_A_ROUND", 0)
    task = host.run(submit())
    say(host.agent.pk, task.pk, task.offer, cpu_usage=10)
    monkeypatch.undo()
    assert cpu(task) == []
    curves.take([])
    assert cpu(task) == [10.0]


@pytest.mark.parametrize(
    ("span", "step"), [(0, 2), (599, 2), (600, 4), (3_600, 16), (30 * 86_400, 16_384)]
)
def test_pause_grows_with_the_time_a_task_runs(span, step):
    assert curves.step_seconds(span) == step
