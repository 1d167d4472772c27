"""What socket kinds are written with: one connection, its stopwatch, its verdict.

Every method that waits is a generator to `yield from`. The phase that is running when
something fails is the phase of the finding; time spent waiting for a driver's thread is
inside the phase too, which is why saturated results are marked.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Any

from agent_client.probes.certificates import chain_of, note_of
from agent_client.probes.failures import ProtocolViolation, finding_of
from agent_client.probes.kind import Address, Finding, Resolve, Run, Steps, WaitSocket, Want

READ_BYTES = 65_536
FAMILIES = {"any": 0, "4": socket.AF_INET, "6": socket.AF_INET6}
Waits = Generator[Want, Any, None]
MAX_WARNINGS = 10


class Dialogue:
    """One run under way; a kind fills details and warnings, and returns when satisfied."""

    __slots__ = (
        "details",
        "phase",
        "phases",
        "run",
        "since",
        "sock",
        "started",
        "unread",
        "warnings",
    )

    def __init__(self, run: Run) -> None:
        """Start the stopwatch."""
        self.run = run
        self.sock: socket.socket | None = None
        self.phase = ""
        self.phases: dict[str, float] = {}
        self.since = self.started = run.clock()
        self.details: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.unread = b""

    def enter(self, phase: str) -> None:
        """End the current phase and begin another, "" for none; the same name again adds up."""
        now = self.run.clock()
        if self.phase:
            self.phases[self.phase] = self.phases.get(self.phase, 0.0) + now - self.since
        self.phase, self.since = phase, now

    def connect(self, host: str, port: int, *, transport: int = socket.SOCK_STREAM) -> Waits:
        """Resolve the host and connect to the first of its addresses that answers.

        An address that hangs gets an equal share of the time left, so that the others
        are tried too.
        """
        self.enter("dns")
        family = FAMILIES[getattr(self.run.config, "ip_version", "any")]
        addresses: list[Address] = yield Resolve(host, port, family, transport)
        self.enter("connect")
        for number, address in enumerate(addresses):
            share = (self.run.deadline - self.run.clock()) / (len(addresses) - number)
            try:
                yield from self._open(address, self.run.clock() + share)
            except OSError:
                self.close()
                if number + 1 == len(addresses):
                    raise
            else:
                self.details["address"] = str(address[4][0])
                return
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")

    def _open(self, address: Address, until: float) -> Waits:
        family, transport, protocol, _, where = address
        self.sock = socket.socket(family, transport | socket.SOCK_NONBLOCK, protocol)
        try:
            self.sock.connect(where)
        except BlockingIOError:
            yield WaitSocket(self.sock, "write", until)
            if number := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                # By number Python picks ConnectionRefusedError and its siblings.
                raise OSError(number, os.strerror(number)) from None

    def secure(self, context: ssl.SSLContext, name: str) -> Waits:
        """Do a full TLS handshake on the open connection and note the certificates."""
        self.enter("tls")
        plain = self._open_socket()
        sock = context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
        self.sock = sock
        while True:
            try:
                sock.do_handshake()
                break
            except ssl.SSLWantReadError:
                yield WaitSocket(sock, "read")
            except ssl.SSLWantWriteError:
                yield WaitSocket(sock, "write")
        self._note_certificates(sock)

    def _note_certificates(self, sock: ssl.SSLSocket) -> None:
        """Add this hop's certificates; warn when one of its chain ends soon."""
        note = note_of(chain_of(sock), sock.version() or "", (sock.cipher() or ("",))[0])
        hops = self.details.setdefault("certificates", [])
        hops.append(note)
        days = getattr(self.run.config, "certificate_warn_days", 0)
        if days and note["days_left"] < days:
            self.warn(f"a certificate ends in {note['days_left']} days")

    def send(self, content: bytes) -> Waits:
        """Send everything."""
        sock = self._open_socket()
        view = memoryview(content)
        while view:
            try:
                view = view[sock.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield WaitSocket(sock, "write")
            except ssl.SSLWantReadError:
                yield WaitSocket(sock, "read")

    def send_datagram(self, content: bytes) -> Waits:
        """Send one datagram, which may be empty."""
        sock = self._open_socket()
        try:
            sock.send(content)
        except BlockingIOError:
            yield WaitSocket(sock, "write")
            sock.send(content)

    def receive(
        self, limit: int = READ_BYTES, until: float | None = None
    ) -> Generator[Want, Any, bytes]:
        """Return what is there or comes next, b"" when the other side has closed."""
        sock = self._open_socket()
        if self.unread:
            content, self.unread = self.unread[:limit], self.unread[limit:]
            return content
        # A peer that always has more to say never makes us wait: look at the clock here.
        if self.run.clock() >= self.run.deadline:
            raise TimeoutError
        while True:
            try:
                return sock.recv(limit)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield WaitSocket(sock, "read", until)
            except ssl.SSLWantWriteError:
                yield WaitSocket(sock, "write", until)

    def receive_exactly(self, size: int) -> Generator[Want, Any, bytes]:
        """Return so many bytes; raises ProtocolViolation when the other side closes first."""
        found = bytearray()
        while len(found) < size:
            more = yield from self.receive(size - len(found))
            if not more:
                raise ProtocolViolation(f"closed after {len(found)} of {size} bytes")
            found += more
        return bytes(found)

    def receive_line(self, limit: int = 4_096) -> Generator[Want, Any, bytes]:
        """Return a line without its end; raises ProtocolViolation when there is none."""
        found = bytearray()
        while not found.endswith(b"\n"):
            if len(found) >= limit:
                raise ProtocolViolation(f"sent no line within {limit} bytes")
            # Byte by byte, because what follows the line may belong to a TLS handshake.
            more = yield from self.receive(1)
            if not more:
                raise ProtocolViolation("closed before the end of a line")
            found += more
        return bytes(found.rstrip(b"\r\n"))

    def warn(self, text: str) -> None:
        """Make a run that is otherwise up a degraded one."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(text)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def verdict(self, error: Exception | None) -> Finding:
        """Return the finding: what failed, else what to warn of, else up."""
        failed_in = self.phase
        self.enter("")
        if error is not None:
            found = finding_of(error, failed_in)
            return Finding(
                found.outcome, found.reason, found.phase, found.error, self.phases, self.details
            )
        took_ms = (self.run.clock() - self.started) * 1_000
        warn_ms = getattr(self.run.config, "warn_ms", 0)
        if warn_ms and took_ms > warn_ms:
            self.warn(f"took {took_ms:.0f} ms, more than {warn_ms:g} ms")
        if self.warnings:
            text = "; ".join(self.warnings)
            return Finding("degraded", "assertion", "", text, self.phases, self.details)
        return Finding("up", "", "", "", self.phases, self.details)

    def _open_socket(self) -> socket.socket:
        if self.sock is None:
            raise ProtocolViolation("the connection is closed")
        return self.sock


def socket_kind(talk: Callable[[Dialogue], Waits]) -> Callable[[Run], Steps]:
    """Make a kind's steps out of a function that holds a dialogue and raises what is wrong."""

    @functools.wraps(talk)
    def steps(run: Run) -> Steps:
        dialogue = Dialogue(run)
        error: Exception | None = None
        try:
            yield from talk(dialogue)
        except Exception as raised:  # noqa: BLE001 (a verdict, or a mistake that a stranger found)
            error = raised
        finally:
            dialogue.close()
        return dialogue.verdict(error)

    return steps
