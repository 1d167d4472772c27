"""ping: ICMP echo requests; loss, round trips and jitter.

Uses the unprivileged ICMP socket of Linux, else a raw one; where neither is allowed the
finding says how to allow it. Packets leave one after the other, so that a slow agent or a
full queue on the way is not mistaken for the target.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Generator
from itertools import pairwise
from typing import Any

from agent_client.probes.dialogue import FAMILIES, Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed, SettingUnusable
from agent_client.probes.kind import Address, Kind, Resolve, Sleep, Want
from agent_client.protocol.probe_kinds.ping import PingSettings

MARK_BYTES = 8
MAX_STRANGE_PACKETS = 1_000
REQUEST: dict[int, int] = {socket.AF_INET: 8, socket.AF_INET6: 128}
REPLY: dict[int, int] = {socket.AF_INET: 0, socket.AF_INET6: 129}
PROTOCOLS: dict[int, int] = {
    socket.AF_INET: socket.IPPROTO_ICMP,
    socket.AF_INET6: socket.IPPROTO_ICMPV6,
}
REMEDY = (
    "this host lets the agent send no ICMP: as root run"
    " sysctl -w net.ipv4.ping_group_range='0 2147483647', or give it CAP_NET_RAW"
)


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: PingSettings = talk.run.config
    talk.enter("dns")
    host = talk.run.target.strip("[]")
    family = FAMILIES[settings.ip_version]
    addresses: list[Address] = yield Resolve(host, 0, family, socket.SOCK_DGRAM)
    talk.enter("connect")
    address = addresses[0]
    talk.details["address"] = str(address[4][0])
    talk.sock = _open(address)
    talk.enter("ttfb")
    trips = yield from _exchange(talk, settings, address[0])
    _judge(talk, settings, trips)


KIND = Kind("ping", PingSettings, steps=_talk)


def _open(address: Address) -> socket.socket:
    """Return a connected ICMP socket; raises SettingUnusable where there is no right to one."""
    family = address[0]
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, PROTOCOLS[family])
        except PermissionError:
            continue
        try:
            # Connected, so that the kernel passes the target's packets alone.
            sock.connect(address[4])
        except OSError:
            sock.close()
            raise
        return sock
    raise SettingUnusable(REMEDY, "permission")


def _exchange(
    talk: Dialogue, settings: PingSettings, family: int
) -> Generator[Want, Any, list[float]]:
    """Send every packet and return the round trips, in seconds, of those that came back."""
    trips: list[float] = []
    mark = os.urandom(MARK_BYTES)
    for number in range(settings.count):
        remaining = settings.count - number
        pause = settings.interval_ms / 1_000
        # What is left is shared, so that the last packet's loss still ends in time.
        left = talk.run.deadline - talk.run.clock()
        wait = min(settings.packet_timeout_ms / 1_000, 0.9 * left / remaining)
        sent = talk.run.clock()
        yield from talk.send_datagram(_packet(family, number, mark, settings.payload_bytes))
        if (yield from _await_reply(talk, family, number, mark, sent + wait)):
            trips.append(talk.run.clock() - sent)
        slot = min(pause, 0.9 * left / remaining) - (talk.run.clock() - sent)
        if remaining > 1 and slot > 0:
            yield Sleep(slot)
    return trips


def _await_reply(
    talk: Dialogue, family: int, number: int, mark: bytes, until: float
) -> Generator[Want, Any, bool]:
    """Wait for the answer to one packet; late answers to others are passed over."""
    for _ in range(MAX_STRANGE_PACKETS):
        try:
            content = yield from talk.receive(until=until)
        except TimeoutError:
            return False
        if _answers(content, family, number, mark):
            return True
        if talk.run.clock() >= until:
            return False
    return False


def _packet(family: int, number: int, mark: bytes, size: int) -> bytes:
    content = mark + bytes(max(0, size - MARK_BYTES))
    head = struct.pack(
        "!BBHHH", REQUEST[socket.AddressFamily(family)], 0, 0, os.getpid() & 0xFFFF, number
    )
    # The kernel fills in the sum of ICMPv6 and of unprivileged sockets, not of raw ones.
    total = _checksum(head + content)
    return head[:2] + struct.pack("!H", total) + head[4:] + content


def _checksum(content: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = content + b"\0" * (len(content) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _answers(content: bytes, family: int, number: int, mark: bytes) -> bool:
    """Say whether a packet is the reply; the mark, not the identifier, which kernels change."""
    if family == socket.AF_INET and content[:1] and content[0] >> 4 == 4:
        # Raw sockets hand over the IP header as well.
        content = content[(content[0] & 0x0F) * 4 :]
    if len(content) < 8 + MARK_BYTES or content[0] != REPLY[family]:
        return False
    return content[6:8] == struct.pack("!H", number) and content[8:].startswith(mark)


def _judge(talk: Dialogue, settings: PingSettings, trips: list[float]) -> None:
    """Note the figures; raises when too much was lost."""
    loss = 100.0 * (settings.count - len(trips)) / settings.count
    details = talk.details
    details.update(sent=settings.count, received=len(trips), loss_percent=round(loss, 2))
    if trips:
        details["min_ms"] = round(min(trips) * 1_000, 3)
        details["avg_ms"] = round(sum(trips) / len(trips) * 1_000, 3)
        details["max_ms"] = round(max(trips) * 1_000, 3)
        steps = [abs(second - first) for first, second in pairwise(trips)]
        details["jitter_ms"] = round(sum(steps) / len(steps) * 1_000, 3) if steps else 0.0
    if not trips:
        raise TimeoutError("no packet came back")
    if loss >= settings.down_loss_percent:
        raise CheckFailed(f"{loss:.0f} % of {settings.count} packets were lost")
    if loss >= settings.warn_loss_percent:
        talk.warn(f"{loss:.0f} % of {settings.count} packets were lost")
    if settings.warn_ms and details["avg_ms"] > settings.warn_ms:
        talk.warn(f"round trips take {details['avg_ms']} ms")
