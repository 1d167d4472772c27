"""What one host may bring: so much, not faster, and one request at a time."""

from __future__ import annotations

import pytest

from agents.plugins import budget
from agents.plugins.budget import Budgets
from dialer_platform.errors import TooMany


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budgets(clock) -> Budgets:
    return Budgets(clock)


def bring(budgets: Budgets, values: int = 0, size_bytes: int = 0, host: str = "a-1") -> None:
    """Have a host bring so much."""
    with budgets.turn(host) as turn:
        turn.charge(values=values, size_bytes=size_bytes)


def test_host_that_brought_too_much_waits_until_it_is_paid_back(budgets, clock):
    bring(budgets, int(budget.MAX_SAVED_VALUES) + 6_000)
    with pytest.raises(TooMany) as refused:
        bring(budgets)
    assert refused.value.code == "slow_down"
    bring(budgets, host="a-2")
    clock.now += 6_000 / budget.VALUES_PER_SECOND
    with pytest.raises(TooMany):
        bring(budgets)
    clock.now += 1
    bring(budgets)


def test_bytes_cost_although_nothing_of_them_is_taken(budgets):
    bring(budgets, size_bytes=int(budget.MAX_SAVED_VALUES) * budget.BYTES_PER_VALUE)
    with pytest.raises(TooMany):
        bring(budgets)


def test_nothing_is_saved_beyond_the_maximum(budgets, clock):
    bring(budgets)
    clock.now += 1e9
    bring(budgets, int(budget.MAX_SAVED_VALUES))
    with pytest.raises(TooMany):
        bring(budgets)


def test_second_request_of_a_host_at_the_same_time_is_refused(budgets):
    with budgets.turn("a-1"):
        with pytest.raises(TooMany):
            bring(budgets)
        bring(budgets, host="a-2")
    bring(budgets)


def test_failed_request_ends_its_turn(budgets):
    with pytest.raises(ZeroDivisionError), budgets.turn("a-1"):
        raise ZeroDivisionError
    bring(budgets)


def test_accounts_are_bounded(budgets, monkeypatch):
    monkeypatch.setattr(budget, "MAX_HOSTS", 2)
    bring(budgets, int(budget.MAX_SAVED_VALUES))
    for name in ("a-2", "a-3"):
        bring(budgets, host=name)
    assert len(budgets._accounts) == 2
    bring(budgets)  # it starts anew
