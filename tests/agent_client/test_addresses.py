"""Addresses: this machine, or a network that reads along."""

from __future__ import annotations

import pytest

from agent_client.addresses import is_exposed, is_loopback


@pytest.mark.parametrize(
    ("url", "is_here", "is_open"),
    [
        ("http://127.0.0.1:8000", True, False),
        ("ws://127.0.0.9", True, False),
        ("http://LOCALHOST", True, False),
        ("HTTP://[::1]:80", True, False),
        ("https://dialer.example", False, False),
        ("wss://10.0.0.1", False, False),
        ("http://10.0.0.1", False, True),
        ("WS://dialer.example:80/x", False, True),
        # Only the whole name is this machine; a name server answers for the rest.
        ("http://localhost.example", False, True),
        ("http://127.0.0.1.example", False, True),
        ("http://0.0.0.0:8000", False, True),
        ("http://[::ffff:10.0.0.1]", False, True),
        ("http://[", False, True),
    ],
)
def test_way_to_the_server_is_known_by_its_address(url, is_here, is_open):
    assert is_loopback(url) is is_here
    assert is_exposed(url) is is_open
