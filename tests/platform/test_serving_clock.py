"""The web server pings and ends by a clock that nobody sets."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import SimpleNamespace

import daphne.http_protocol
import daphne.server
import daphne.ws_protocol
import pytest

from dialer_platform.serving import server
from dialer_platform.serving.sockets import LimitedSocket

HOUR = 3600


def open_socket() -> LimitedSocket:
    """Return an open socket that was quiet since now, and counts its pings."""
    found = LimitedSocket()
    found.state, found.pings = found.STATE_OPEN, 0
    found.server = SimpleNamespace(websocket_timeout=-1, ping_interval=20)
    found._sendAutoPing = lambda: setattr(found, "pings", found.pings + 1)
    found.socket_opened = found.last_ping = daphne.ws_protocol.time.time()
    return found


@pytest.fixture
def steady_modules():
    return daphne.server, daphne.http_protocol, daphne.ws_protocol


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_quiet_socket_is_pinged_in_time_after_the_wall_clock_was_set(monkeypatch, jump):
    with server.steady_clock():
        monkeypatch.setattr(server._Steady, "time", lambda: 1_000.0)
        socket = open_socket()
        monkeypatch.setattr(time, "time", lambda: 1e9 + jump)
        socket.check_timeouts()
        assert socket.pings == 0
        monkeypatch.setattr(server._Steady, "time", lambda: 1_021.0)
        socket.check_timeouts()
        assert socket.pings == 1


def test_library_has_its_own_clock_back_afterwards(steady_modules):
    with server.steady_clock():
        assert all(module.time is server._Steady for module in steady_modules)
    assert all(module.time is time for module in steady_modules)


def test_library_asks_its_clock_for_nothing_else(steady_modules):
    """A new version that uses more of `time` must not find an object without it."""
    for module in steady_modules:
        used = re.findall(r"\btime\.(\w+)", Path(module.__file__).read_text())
        assert set(used) == {"time"}
