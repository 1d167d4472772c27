"""Where messages begin and end in a connection between agent and server. Pure.

HTTP requests with their bodies, and frames of a WebSocket after its upgrade: whole ones can
be repeated as no network does, and as a peer that sends again does.
"""

from __future__ import annotations

from typing import NamedTuple

_HEAD_END = b"\r\n\r\n"
_CONTROL_OPCODES = 0x8
_FINAL, _MASKED, _LENGTH = 0x80, 0x80, 0x7F
_LENGTH_BYTES = {126: 2, 127: 8}


class Unit(NamedTuple):
    """Some bytes to pass on at once; kind is `request`, `frame` or `raw`."""

    data: bytes
    kind: str = "raw"

    @property
    def is_repeatable(self) -> bool:
        """Return whether a peer may send it twice: a request, or a frame that is a message."""
        return self.kind != "raw"


class Splitter:
    """Cuts one direction of a connection into units, whatever pieces it arrives in."""

    def __init__(self) -> None:
        """Begin with HTTP."""
        self._rest = b""
        self._split = self._http

    def feed(self, data: bytes) -> list[Unit]:
        """Return the units that are complete now."""
        self._rest += data
        units = []
        while self._rest and (unit := self._split()) is not None:
            self._rest = self._rest[len(unit.data) :]
            units.append(unit)
        return units

    def _http(self) -> Unit | None:
        """Return a request or an answer with its body; an upgrade changes what follows."""
        head, end, _ = self._rest.partition(_HEAD_END)
        if not end:
            return None
        lines = head.decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        size = len(head) + len(_HEAD_END)
        if "websocket" in fields.get("upgrade", ""):
            self._split = self._frame
            return Unit(self._rest[:size])
        if "transfer-encoding" in fields:
            self._split = self._raw
            return self._raw()
        size += int(fields.get("content-length", 0))
        kind = "raw" if lines[0].startswith("http/") else "request"
        return Unit(self._rest[:size], kind) if len(self._rest) >= size else None

    def _frame(self) -> Unit | None:
        """Return one frame; control frames and parts of messages are not repeatable."""
        if len(self._rest) < 2:
            return None
        first, second = self._rest[0], self._rest[1]
        length, size = second & _LENGTH, 2
        extended = _LENGTH_BYTES.get(length, 0)
        if len(self._rest) < size + extended:
            return None
        if extended:
            length = int.from_bytes(self._rest[size : size + extended], "big")
        size += extended + (4 if second & _MASKED else 0) + length
        is_message = first & _FINAL and 0 < first & 0x0F < _CONTROL_OPCODES
        kind = "frame" if is_message else "raw"
        return Unit(self._rest[:size], kind) if len(self._rest) >= size else None

    def _raw(self) -> Unit:
        """Return whatever there is."""
        return Unit(self._rest)
