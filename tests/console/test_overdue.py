"""A question that hangs: who asks waits for a while, and all of them for the same one."""

from __future__ import annotations

import threading

import pytest

from dialer_platform.console.overdue import Overdue, SharedQuestion


def test_answer_is_handed_on():
    assert SharedQuestion(lambda: 42, name="asked").answer(10) == 42


def test_error_is_handed_on_and_the_next_one_asks_anew():
    answers = iter([1])
    question = SharedQuestion(lambda: next(answers), name="asked")
    assert question.answer(10) == 1
    for _ in range(2):
        with pytest.raises(StopIteration):
            question.answer(10)


def test_hung_question_costs_one_thread_and_its_answer_counts_when_it_comes():
    go_on, asked = threading.Event(), []

    def ask() -> str:
        asked.append(1)
        go_on.wait(30)
        return "late"

    question = SharedQuestion(ask, name="hung question")
    for _ in range(20):
        with pytest.raises(Overdue):
            question.answer(0.01)
    assert len(asked) == 1
    assert [one.name for one in threading.enumerate()].count("hung question") == 1
    go_on.set()
    assert question.answer(30) == "late"
