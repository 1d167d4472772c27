"""The proxy itself: each kind of bad weather does what it says, and counts what it touched."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.e2e.stack import wait_for
from tests.faults.framing import Splitter
from tests.faults.proxy import Proxy

FRAME = b"\x81\x83\x00\x00\x00\x00abc"  # a masked text message "abc"
LONG_FRAME = b"\x82\x7e\x01\x00" + b"x" * 256
PING = b"\x89\x00"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"
REQUEST = b"POST /beat HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"


class Echo:
    """A server that says what it hears, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self.heard += data
                connection.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    found = Echo()
    yield found
    found.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    found = Proxy(echo.port)
    yield found
    found.close()


@pytest.fixture
def framed(echo: Echo) -> Iterator[Proxy]:
    found = Proxy(echo.port, is_framed=True)
    yield found
    found.close()


def dial(proxy: Proxy, timeout: float = 5) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout)


def ask(line: socket.socket, data: bytes = b"hello") -> bytes:
    """Say something and return the answer; raises TimeoutError or ConnectionError."""
    line.sendall(data)
    answer = b""
    while len(answer) < len(data):
        got = line.recv(65536)
        if not got:
            raise ConnectionError("closed")
        answer += got
    return answer


def hears_nothing(line: socket.socket, data: bytes = b"hello") -> bool:
    line.settimeout(0.3)
    try:
        ask(line, data)
    except TimeoutError:
        line.settimeout(5)
        return True
    return False


def test_good_weather_passes_everything_on(proxy: Proxy):
    with dial(proxy) as line:
        assert ask(line, b"x" * 300_000) == b"x" * 300_000
    assert not proxy.touched


def test_refused_connection_is_reset(proxy: Proxy):
    proxy.set(refuse=True)
    with pytest.raises(ConnectionError), dial(proxy) as line:
        ask(line)
    assert proxy.touched["refused"] == 1


@pytest.mark.parametrize("way", ["stall_up", "stall_down"])
def test_stalled_line_goes_on_where_it_was(proxy: Proxy, echo: Echo, way: str):
    with dial(proxy) as line:
        proxy.set(**{way: True})
        assert hears_nothing(line)
        assert echo.heard == (b"hello" if way == "stall_down" else b"")
        proxy.set()
        assert line.recv(10) == b"hello"
    assert proxy.touched["stalled"] == 1


@pytest.mark.parametrize("way", ["drop_up", "drop_down"])
def test_half_open_line_stays_dead_when_the_weather_is_good_again(proxy, echo, way):
    with dial(proxy) as line, dial(proxy) as fresh:
        proxy.set(**{way: True})
        assert hears_nothing(line)
        proxy.set()
        assert hears_nothing(line), "what was half-open must not heal"
        assert ask(fresh) == b"hello", "what saw no bad weather is not touched"
    assert proxy.touched["dropped"] == 2


def test_cut_leaves_half_a_message(proxy: Proxy, echo: Echo):
    proxy.set(cut_after_bytes=7)
    with pytest.raises(ConnectionError), dial(proxy) as line:
        ask(line, b"0123456789")
    assert proxy.touched["cut"] == 1
    assert echo.heard in (b"", b"0123456"), "a reset may overtake the half"


def test_reset_ends_every_line(proxy: Proxy):
    with dial(proxy) as one, dial(proxy) as other:
        assert ask(one) == ask(other) == b"hello"
        proxy.reset_all()
        for line in (one, other):
            with pytest.raises(ConnectionError):
                ask(line)
    assert proxy.touched["reset"] == 2


def test_share_of_pieces_resets_the_line(proxy: Proxy):
    proxy.set(reset_share=1.0)
    with pytest.raises(ConnectionError), dial(proxy) as line:
        ask(line)
    assert proxy.touched["reset"] == 1


@pytest.mark.parametrize("weather", [{"delay_seconds": 0.2}, {"bytes_per_second": 50}])
def test_delayed_pieces_arrive_late_and_whole(proxy: Proxy, weather: dict[str, float]):
    proxy.set(**weather)
    with dial(proxy) as line:
        line.settimeout(0.1)
        with pytest.raises(TimeoutError):
            ask(line, b"0123456789")
        line.settimeout(5)
        assert line.recv(10) == b"0123456789"
    assert proxy.touched["delayed"] == 2


# --- whole messages ----------------------------------------------------------------------


def test_messages_of_a_socket_arrive_twice_and_control_frames_once(framed: Proxy, echo: Echo):
    framed.set(duplicate_share=1.0)
    with dial(framed) as line:
        line.sendall(UPGRADE + FRAME + PING)
        wait_for(lambda: echo.heard.endswith(PING))
    assert echo.heard == UPGRADE + FRAME + FRAME + PING


def test_request_is_made_twice_and_answered_once(framed: Proxy, echo: Echo):
    framed.set(duplicate_share=1.0)
    with dial(framed) as line:
        line.sendall(REQUEST)
        wait_for(lambda: echo.heard.count(REQUEST) == 2)
        wait_for(lambda: framed.touched["duplicated"] >= 1)
        line.settimeout(0.3)
        answers = line.recv(65536)
    assert answers.count(REQUEST) == 1


def test_earlier_messages_follow_the_greeting_of_a_new_connection(framed: Proxy, echo: Echo):
    with dial(framed) as line:
        line.sendall(UPGRADE + LONG_FRAME + FRAME)
        wait_for(lambda: echo.heard.endswith(FRAME))
    framed.set(replay=True)
    echo.heard = b""
    with dial(framed) as line:
        line.sendall(UPGRADE + LONG_FRAME + PING)
        wait_for(lambda: echo.heard.endswith(PING))
    assert echo.heard == UPGRADE + LONG_FRAME + FRAME + PING
    assert framed.touched["replayed"] == 1


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_units_are_the_same_whatever_pieces_they_arrive_in(size: int):
    stream = REQUEST + UPGRADE + FRAME + LONG_FRAME + PING + FRAME
    splitter = Splitter()
    units = [
        unit
        for start in range(0, len(stream), size)
        for unit in splitter.feed(stream[start : start + size])
    ]
    assert b"".join(unit.data for unit in units) == stream
    kinds = ["request", "raw", "frame", "frame", "raw", "frame"]
    assert [unit.kind for unit in units] == kinds
