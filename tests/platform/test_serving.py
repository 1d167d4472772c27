"""The web server as a process: limits where the bytes arrive, a clean end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

PROGRAM = """
import asyncio, sys
sys.modules["dialer_platform.runtime"] = type(sys)("dialer_platform.runtime")
sys.modules["dialer_platform.runtime"].ensure_started = lambda: None
sys.modules["dialer_platform.runtime"].stop = lambda: print("stopped", flush=True)
from dialer_platform.serving import WebServer, limits
import signal
limits.HEADER_SECONDS = 1.0
limits.STUCK_READER_SECONDS = 1.5
limits.BODY_SECONDS = 2.0
sent, PIECES, queue, go = 0, 64, None, asyncio.Event()
limits.MAX_WAITING_PER_ADDRESS = 20

async def application(scope, receive, send):
    global sent, queue
    if scope["path"] == "/go":
        go.set()
    if scope["path"] == "/crash":
        raise RuntimeError("secret")
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        if scope["path"] == "/pour":
            for sent in range(1, PIECES + 1):
                await send({"type": "websocket.send", "bytes": bytes(1 << 20)})
        if scope["path"] == "/ignore":
            queue, count = receive.__self__, 1
            await go.wait()
            while (event := await receive()).get("text") != "done":
                count += event["type"] == "websocket.receive"
            await send({"type": "websocket.send", "text": str(count)})
        while (event := await receive())["type"] != "websocket.disconnect":
            if size := event.get("text"):
                await send({"type": "websocket.send", "text": "x" * int(size[:20])})
        return
    if scope["path"] == "/large":
        length = [(b"content-length", str(PIECES << 20).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        for sent in range(1, PIECES + 1):
            piece = {"type": "http.response.body", "body": bytes(1 << 20)}
            await send(piece | {"more_body": sent < PIECES})
        return
    size, more = 0, True
    if scope["path"] == "/sent":
        size = sent
    if scope["path"] == "/waiting" and queue:
        size = queue.qsize()
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

server = WebServer(application, host="127.0.0.1", port=int(sys.argv[1]),
                   on_ready=lambda host, port: print(port, flush=True))
signal.signal(signal.SIGTERM, lambda *args: server.stop())
print("served" if server.run() else "no address", flush=True)
"""


def start(port: int = 0) -> subprocess.Popen[str]:
    """Start a small application on the real server."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Run one server for the whole module and return its port."""
    process = start()
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=20)[0]
    assert rest.split() == ["stopped", "served"]


def talk(port: int, *parts: bytes, seconds: float = 10.0) -> bytes:
    """Send the parts and return everything the server says until it closes or is silent."""
    with closing(socket.create_connection(("127.0.0.1", port), seconds)) as connection:
        connection.settimeout(seconds)
        for part in parts:
            connection.sendall(part)
        answer = b""
        while data := connection.recv(65536):
            answer += data
            if is_whole(answer):
                break
        return answer


def is_whole(answer: bytes) -> bool:
    """Tell whether an answer with a length has arrived completely."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if separator and line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return False


def head(path: str, *headers: str) -> bytes:
    """Return the head of a POST request that asks to close the connection afterwards."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status(answer: bytes) -> int:
    """Return the status of an answer."""
    return int(answer.split(b" ", 2)[1])


def test_body_within_the_limit_arrives_whole(port):
    body = b"x" * 64 * 1024
    answer = talk(port, head("/accounts/login/", f"Content-Length: {len(body)}"), body)
    assert status(answer) == 200
    assert answer.endswith(str(len(body)).encode())


def test_body_over_the_limit_is_413_before_it_is_sent(port):
    answer = talk(port, head("/accounts/login/", "Content-Length: 65537"))
    error = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert status(answer) == 413
    assert (error["code"], error["fields"]) == ("too_large", {})


def test_chunked_body_over_the_limit_is_413_while_it_is_sent(port):
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    answer = talk(port, head("/accounts/login/", "Transfer-Encoding: chunked"), chunk * 5)
    assert status(answer) == 413


def test_sender_of_a_large_body_still_reads_the_refusal(port):
    body = b"x" * (2 * 1024 * 1024)
    answer = talk(port, head("/", f"Content-Length: {len(body)}"), body)
    assert status(answer) == 413


def test_no_continue_is_promised_to_a_body_over_the_limit(port):
    answer = talk(port, head("/", "Content-Length: 99999999", "Expect: 100-continue"))
    assert status(answer) == 413


def test_malformed_form_is_left_to_the_application(port):
    headers = ("Content-Type: multipart/form-data", "Content-Length: 3")
    assert status(talk(port, head("/", *headers), b"abc")) == 200


def test_dripping_header_is_cut(port):
    with pytest.raises(ConnectionResetError):
        talk(port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")


def test_dripping_body_is_cut(port):
    with pytest.raises(ConnectionResetError):
        talk(port, head("/", "Content-Length: 10"), b"1", seconds=30)


def test_crash_of_the_application_shows_no_internals(port):
    answer = talk(port, head("/crash", "Content-Length: 0"))
    assert status(answer) == 500
    assert b"secret" not in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "internal"


def ask_for_large(port: int) -> socket.socket:
    """Ask for 64 MiB and read none of it but the first byte."""
    connection = socket.create_connection(("127.0.0.1", port), 10.0)
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert connection.recv(1) == b"H"
    return connection


def ask(port: int, path: str) -> int:
    """Return the number that the application says at a path."""
    return int(talk(port, head(path, "Content-Length: 0")).rpartition(b"\r\n")[2])


def pieces_sent(port: int) -> int:
    """Return how many MiB the application could hand over so far."""
    return ask(port, "/sent")


def is_cut_off(connection: socket.socket) -> bool:
    """Return whether the server ends a connection of which nothing is read."""
    poller = select.poll()
    poller.register(connection, select.POLLHUP | select.POLLERR)
    return bool(poller.poll(30_000))


def test_answer_is_made_no_faster_than_it_is_read(port):
    with closing(ask_for_large(port)) as connection:
        assert 0 < pieces_sent(port) < 32  # what fits the kernel's buffers, not all 64
        size = 1
        while data := connection.recv(1 << 20):
            size += len(data)
    assert size > 64 << 20
    assert pieces_sent(port) == 64


def test_reader_that_takes_nothing_is_cut_off(port):
    with closing(ask_for_large(port)) as connection:
        assert connection.recv(1, socket.MSG_PEEK)
        assert is_cut_off(connection)


def test_server_says_when_the_address_is_taken(port):
    process = start(port)
    assert process.communicate(timeout=20)[0].split() == ["stopped", "no", "address"]


def test_socket_sends_what_is_longer_than_what_it_takes(port):
    with connect(f"ws://127.0.0.1:{port}/", max_size=None, proxy=None) as near:
        near.send("3000000")
        assert len(near.recv(10)) == 3_000_000


def test_socket_takes_no_message_over_a_mebibyte(port):
    with connect(f"ws://127.0.0.1:{port}/", proxy=None) as near, pytest.raises(ConnectionClosed):
        near.send("1".ljust(1024 * 1024 + 1))
        near.recv(10)


def ask_for_messages(port: int) -> socket.socket:
    """Open a socket on which the server sends 64 MiB; read the answer to the handshake only."""
    connection = socket.create_connection(("127.0.0.1", port), 10.0)
    connection.sendall(
        b"GET /pour HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")
    return connection


def test_messages_are_sent_no_faster_than_they_are_read(port):
    with closing(ask_for_messages(port)) as connection:
        assert 0 < pieces_sent(port) < 32
        # Another one's messages go through meanwhile.
        with connect(f"ws://127.0.0.1:{port}/", proxy=None) as near:
            near.send("3")
            assert near.recv(10) == "xxx"
        size = 0
        while size < 64 << 20:
            size += len(connection.recv(1 << 20))
    assert pieces_sent(port) == 64


def test_reader_that_takes_no_messages_is_cut_off(port):
    with closing(ask_for_messages(port)) as connection:
        assert connection.recv(1, socket.MSG_PEEK)
        assert is_cut_off(connection)


def test_messages_are_read_no_faster_than_they_are_taken(port):
    with connect(f"ws://127.0.0.1:{port}/ignore", proxy=None, ping_interval=None) as near:

        def send_all() -> None:
            for _ in range(3_000):
                near.send(bytes(32 * 1024))
            near.send("done")

        sender = threading.Thread(target=send_all)
        sender.start()
        while (waiting := ask(port, "/waiting")) < 500:
            assert sender.is_alive()
        assert waiting < 600
        assert ask(port, "/waiting") < 600
        ask(port, "/go")
        sender.join(60)
        assert near.recv(30) == "3001"


def test_connections_without_a_request_are_bounded(port):
    with connect(f"ws://127.0.0.1:{port}/", open_timeout=5) as websocket:
        waiting = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(25)]
        for one in waiting[:5]:
            with pytest.raises(ConnectionResetError):
                one.recv(1)
        waiting[-1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert waiting[-1].recv(12) == b"HTTP/1.1 200"
        websocket.send("3")
        assert websocket.recv(5) == "xxx"
        for one in waiting:
            one.close()
