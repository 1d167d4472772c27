"""Connections that have not proven anything are bounded by address."""

from __future__ import annotations

from dialer_platform.serving.waiting import WaitingConnections


def test_longest_waiting_connection_of_the_address_makes_room():
    waiting: WaitingConnections[str] = WaitingConnections(limit=2)
    assert [waiting.add("192.0.2.1", name) for name in "abc"] == [None, None, "a"]
    assert waiting.add("192.0.2.2", "other") is None
    assert waiting.cut_count == 1


def test_served_connection_waits_at_the_end_of_the_line():
    waiting: WaitingConnections[str] = WaitingConnections(limit=2)
    waiting.add("192.0.2.1", "served")
    waiting.add("192.0.2.1", "dripping")
    waiting.discard("192.0.2.1", "served")
    waiting.add("192.0.2.1", "served")
    assert waiting.add("192.0.2.1", "new") == "dripping"


def test_proxy_may_have_any_number():
    waiting: WaitingConnections[int] = WaitingConnections(limit=1, exempt={"192.0.2.1"})
    assert {waiting.add("192.0.2.1", number) for number in range(9)} == {None}


def test_nothing_is_kept_of_addresses_that_left():
    waiting: WaitingConnections[str] = WaitingConnections(limit=2)
    waiting.add("2001:db8::1", "a")
    waiting.discard("2001:db8::1", "a")
    waiting.discard("2001:db8::1", "a")
    assert not waiting._by_origin
