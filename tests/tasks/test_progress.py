"""Progress bars: what carriage-return output says about percent and time left."""

from __future__ import annotations

import threading

import pytest

from agent_client.protocol import frames
from tasks.logs import bars
from tasks.logs.progress import read_bar
from tasks.models import Task
from tasks.services import progress
from tests.tasks.conftest import fresh


@pytest.mark.parametrize(
    ("tail", "percent", "eta_seconds"),
    [
        (b"\r 45%|####5     | 45/100 [00:10<00:12,  4.50it/s]", 45.0, 12.0),
        (b"\rEpoch 1: 7%|#  | 7/100 [01:00<13:17, 8.6s/it]", 7.0, 797.0),
        (b"\r 10%|#| 1/10 [1:00:00<9:00:00]", 10.0, 32_400.0),
        (b"\r 1%| | 1/100 [1 day, 1:00:00<2 days, 3:00:01]", 1.0, 183_601.0),
        (b"\rdownloading 99.5% ETA 0:03", 99.5, 3.0),
        (b"\r 50 % eta: 12s", 50.0, 12.0),
        (b"\r 12%\r 13%\r 14%", 14.0, None),
        ("\r\x1b[32m 60%|██████    |\x1b[0m".encode(), 60.0, None),
        (b"\r 80%\r 100%\ndone\n", 100.0, None),
    ],
)
def test_bar_is_read(tail, percent, eta_seconds):
    bar = read_bar(tail)
    assert (bar.percent, bar.eta_seconds) == (percent, eta_seconds)


@pytest.mark.parametrize(
    "tail",
    [b"", b"accuracy 93%\n", b"accuracy 93%\r\nloss 0.1\r\n", b"\rno figure", b"\r 250%"],
)
def test_ordinary_output_is_no_bar(tail):
    assert read_bar(tail) is None


def note(task_id: int, *payloads: bytes, tenant_id: str = "default") -> None:
    """Show chunks of a task's output to the memory of bars."""
    data = b"".join(frames.encode(2, 1_000, payload) for payload in payloads)
    bars.note(task_id, data, tenant_id=tenant_id)


def test_bar_cut_between_two_frames_is_read():
    note(1, b"\r 4", b"2%|####")
    assert bars.take()[1].bar.percent == 42.0


def test_newest_bar_is_taken_once():
    note(1, b"\r 1%")
    note(1, b"\r 2%")
    assert [drawn.bar.percent for drawn in bars.take().values()] == [2.0]
    assert bars.take() == {}


def test_waiting_bars_are_bounded(monkeypatch):
    monkeypatch.setattr(bars, "MAX_PENDING", 2)
    for task_id in range(5):
        note(task_id, b"\r 1%")
    assert list(bars.take()) == [3, 4]


@pytest.mark.django_db
def test_flush_writes_bars_of_running_tasks(host, submit):
    running, waiting = host.run(submit()), submit()
    for task in (running, waiting):
        note(task.pk, b"\r 42%|")
    assert progress.flush() == 2
    assert fresh(running).progress["percent"] == 42.0
    assert fresh(waiting).progress is None


@pytest.mark.django_db
def test_flush_without_news_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert progress.flush() == 0
    assert not Task.objects.exists()


def test_thread_flushes_a_last_time_when_it_stops(monkeypatch):
    flushed = threading.Event()
    monkeypatch.setattr(progress, "flush", flushed.set)
    progress.start()
    progress.stop()
    assert flushed.is_set()


def test_thread_survives_a_flush_that_fails(monkeypatch):
    tries = []

    def fail() -> None:
        tries.append(1)
        if len(tries) == 2:
            progress._stop.set()
        raise OSError("busy")

    monkeypatch.setattr(progress, "FLUSH_SECONDS", 0.001)
    monkeypatch.setattr(progress, "flush", fail)
    progress.start()
    progress._thread.join(5.0)
    assert len(tries) == 3
