"""Pauses grow, scatter and reset; addresses take turns."""

from __future__ import annotations

import itertools
import random

from agent_client.transport.backoff import SLOW_LANE_SECONDS, Backoff, windows


def backoff(*addresses: str, tries: int = 2) -> Backoff:
    return Backoff(
        addresses or ("one",),
        initial_seconds=1.0,
        max_seconds=8.0,
        tries_per_address=tries,
        rng=random.Random(1),
    )


def test_pauses_stay_in_their_doubling_window_when_failing():
    pauses = itertools.islice(
        windows(initial_seconds=1.0, max_seconds=8.0, rng=random.Random(7)), 6
    )
    for pause, window in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert window / 2 <= pause <= window


def test_two_hosts_pause_differently_when_both_fail():
    first = Backoff(("a",), initial_seconds=1, max_seconds=9, tries_per_address=1)
    second = Backoff(("a",), initial_seconds=1, max_seconds=9, tries_per_address=1)
    assert [first.failed() for _ in range(5)] != [second.failed() for _ in range(5)]


def test_backup_has_its_turn_when_tries_are_used_up():
    way = backoff("main", "backup")
    seen = []
    for _ in range(5):
        seen.append(way.address)
        way.failed()
    assert seen == ["main", "main", "backup", "backup", "main"]


def test_single_address_stays_when_it_fails():
    way = backoff("only")
    for _ in range(5):
        way.failed()
    assert way.address == "only"


def test_pauses_begin_again_when_a_message_was_acknowledged():
    way = backoff()
    for _ in range(6):
        way.failed()
    way.succeeded()
    assert way.failures == 0
    assert way.failed() <= 1.0


def test_pause_is_longer_when_the_server_asks_for_it():
    assert backoff().failed(at_least_seconds=30.0) == 30.0


def test_slow_lane_is_taken_when_the_credential_is_refused():
    way = backoff()
    assert SLOW_LANE_SECONDS <= way.refused() <= 1.1 * SLOW_LANE_SECONDS
