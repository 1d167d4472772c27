"""The lock of the writers of a process: fair, re-entrant, and not waited for without end."""

from __future__ import annotations

import threading

from dialer_platform.storage.transactions import FairLock


def in_thread(function) -> threading.Thread:
    """Run a function in a thread of its own."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def wait_until_queued(lock: FairLock, count: int) -> None:
    """Return when so many stand in the line."""
    while len(lock._waiting) < count:
        pass


def test_owner_enters_again():
    lock = FairLock()
    assert lock.acquire()
    assert lock.acquire()
    lock.release()
    assert lock._owner is not None
    lock.release()
    assert lock._owner is None


def test_line_is_served_in_order_of_arrival():
    lock, order = FairLock(), []
    lock.acquire()

    def work(name: int) -> None:
        lock.acquire()
        order.append(name)
        lock.release()

    threads = []
    for name in range(4):
        threads.append(in_thread(lambda name=name: work(name)))
        wait_until_queued(lock, name + 1)
    lock.release()
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3]


def test_who_gives_up_waiting_leaves_the_line_to_the_others():
    lock, got = FairLock(), []
    lock.acquire()
    impatient = in_thread(lambda: got.append(lock.acquire(0.01)))
    impatient.join(10)
    assert got == [False]
    patient = in_thread(lambda: got.append(lock.acquire()))
    wait_until_queued(lock, 1)
    lock.release()
    patient.join(10)
    assert got == [False, True]
