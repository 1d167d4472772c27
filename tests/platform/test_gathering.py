"""The thread under group commit: order, bounds, and nothing that waits is dropped at the end."""

from __future__ import annotations

import threading
import time

from dialer_platform.storage import gathering
from dialer_platform.storage.gathering import GatheringThread


class Slow:
    """Takes batches one at a time, each when the test lets it."""

    def __init__(self, **limits: int) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Semaphore(0)
        self.taken = threading.Semaphore(0)
        self.ended = threading.Event()
        self.queue: GatheringThread[int] = GatheringThread(
            "slow",
            self.handle,
            **{"max_waiting": 100, "max_batch": 10, **limits},
            weigh=lambda item: item,
            on_end=self.ended.set,
        )

    def handle(self, batch: list[int], stopping: threading.Event) -> None:
        self.taken.release()
        self.go.acquire(timeout=10)
        self.batches.append(batch)


def test_what_arrives_meanwhile_gathers_for_the_next_batch():
    slow = Slow()
    slow.queue.put(1)
    assert slow.taken.acquire(timeout=10)
    for item in (2, 3, 4):
        slow.queue.put(item)
    slow.go.release(2)
    slow.queue.stop(10)
    assert slow.batches == [[1], [2, 3, 4]]


def test_full_queue_refuses_and_keeps_what_it_has():
    slow = Slow(max_waiting=5)
    slow.queue.put(1)
    assert slow.taken.acquire(timeout=10)
    assert [slow.queue.put(item) for item in (3, 3, 2)] == [True, False, True]
    assert slow.queue.waiting == 5
    slow.go.release(2)
    slow.queue.stop(10)
    assert slow.batches == [[1], [3, 2]]


def test_batch_ends_when_its_weight_is_reached():
    slow = Slow()
    slow.queue.put(1)
    assert slow.taken.acquire(timeout=10)
    for item in (6, 6, 1):
        slow.queue.put(item)
    slow.go.release(3)
    slow.queue.stop(10)
    assert slow.batches == [[1], [6, 6], [1]]


def test_end_handles_what_waits_and_closes_in_the_thread():
    slow = Slow()
    slow.go.release(5)
    slow.queue.put(1)
    slow.queue.stop(10)
    assert slow.batches == [[1]]
    assert slow.ended.is_set()


def test_stopped_queue_starts_again_with_the_next_item():
    slow = Slow()
    slow.go.release(5)
    slow.queue.put(1)
    slow.queue.stop(10)
    slow.queue.put(2)
    slow.queue.stop(10)
    assert slow.batches == [[1], [2]]


def test_stop_without_a_start_is_harmless():
    Slow().queue.stop(1)


def test_time_of_the_present_batch_is_known(monkeypatch):
    slow = Slow()
    assert slow.queue.busy_seconds == 0
    slow.queue.put(1)
    assert slow.taken.acquire(timeout=10)
    later = time.monotonic() + 60
    with monkeypatch.context() as patch:
        patch.setattr(gathering.time, "monotonic", lambda: later)
        assert slow.queue.busy_seconds > 50
    slow.go.release()
    slow.queue.stop(10)
    assert slow.queue.busy_seconds == 0


def test_queue_whose_thread_died_is_busy_for_ever(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    died = threading.Event()
    queue: GatheringThread[int] = GatheringThread(
        "dies", lambda batch, stopping: 1 // 0, max_waiting=9, max_batch=9, on_end=died.set
    )
    queue.put(1)
    assert died.wait(10)
    assert queue._thread is not None
    queue._thread.join(10)
    assert queue.busy_seconds == float("inf")
