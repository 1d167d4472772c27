"""One answer for all who ask at once, and no endless wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dialer_platform.shared_answer import SharedAnswer

PATIENT_SECONDS = 30.0


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Return what time it is."""
        return self.now


class Hanging:
    """A question that is answered when the test lets it be."""

    def __init__(self) -> None:
        """Hang, and count who asks."""
        self.asked = 0
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def __call__(self) -> str:
        """Answer in the end; the test's own limit is far beyond this one."""
        self.asked += 1
        self.begun.set()
        assert self.let_go.wait(PATIENT_SECONDS)
        return "at last"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """A question that ends with the test at the latest."""
    question = Hanging()
    yield question
    question.let_go.set()


def askers() -> list[threading.Thread]:
    """Return the threads that ask something now."""
    return [thread for thread in threading.enumerate() if thread.name == "asking"]


def test_answer_is_handed_on():
    answer = SharedAnswer(lambda: 7, wait_seconds=PATIENT_SECONDS, believed_seconds=1)
    assert answer.get() == 7


def test_answer_is_believed_for_its_time_and_then_asked_anew():
    clock, told = Clock(), iter(range(10))
    answer = SharedAnswer(
        lambda: next(told), wait_seconds=PATIENT_SECONDS, believed_seconds=1, clock=clock
    )
    assert (answer.get(), answer.get()) == (0, 0)
    clock.now += 1
    assert answer.get() == 1


def test_question_that_hangs_has_no_answer(hanging):
    answer = SharedAnswer(hanging, wait_seconds=0.05, believed_seconds=0.01)
    assert answer.get() is None


def test_many_who_ask_while_it_hangs_use_one_thread(hanging):
    answer = SharedAnswer(hanging, wait_seconds=0.2, believed_seconds=0.01)
    before = len(askers())
    with ThreadPoolExecutor(20) as crowd:
        assert set(crowd.map(lambda _: answer.get(), range(100))) == {None}
    assert (hanging.asked, len(askers()) - before) == (1, 1)


def test_who_comes_while_it_hangs_is_told_at_once(hanging):
    clock = Clock()
    answer = SharedAnswer(hanging, wait_seconds=PATIENT_SECONDS, believed_seconds=1, clock=clock)
    first = threading.Thread(target=answer.get)
    first.start()
    assert hanging.begun.wait(PATIENT_SECONDS)
    clock.now += PATIENT_SECONDS
    began = time.monotonic()
    assert answer.get() is None
    assert time.monotonic() - began < PATIENT_SECONDS / 2
    hanging.let_go.set()
    first.join(PATIENT_SECONDS)


def test_who_waits_in_time_gets_the_answer_of_the_one_who_asked_first(hanging):
    answer = SharedAnswer(hanging, wait_seconds=PATIENT_SECONDS, believed_seconds=0.01)
    with ThreadPoolExecutor(5) as crowd:
        waiting = [crowd.submit(answer.get) for _ in range(5)]
        assert hanging.begun.wait(PATIENT_SECONDS)
        hanging.let_go.set()
        assert {one.result() for one in waiting} == {"at last"}


def test_question_is_asked_anew_once_it_no_longer_hangs(hanging):
    clock = Clock()
    answer = SharedAnswer(hanging, wait_seconds=0, believed_seconds=1, clock=clock)
    assert answer.get() is None
    hanging.let_go.set()
    for thread in askers():
        thread.join(PATIENT_SECONDS)
    assert answer.get() == "at last"
    clock.now += 1
    answer.get()
    for thread in askers():
        thread.join(PATIENT_SECONDS)
    assert hanging.asked == 2


def test_failure_is_told_to_who_asked():
    def fail() -> int:
        raise ValueError("broken")

    answer = SharedAnswer(fail, wait_seconds=PATIENT_SECONDS, believed_seconds=1)
    with pytest.raises(ValueError, match="broken"):
        answer.get()
