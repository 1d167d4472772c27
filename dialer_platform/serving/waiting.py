"""Connections that wait for a request, complete or not: at most so many per address.

Nobody has proven who they are on these. The one that waited longest goes first: a client
that is served comes back to the end of the line with each request, one that drips does not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from typing import Generic, TypeVar

from dialer_platform.accounts.address import origin_of

C = TypeVar("C")


class WaitingConnections(Generic[C]):
    """The waiting connections by address, longest waiting first; used on one thread."""

    def __init__(self, *, limit: int, exempt: Container[str] = ()) -> None:
        """Start with none; proxies are exempt, all their clients come from their address."""
        self.cut_count = 0
        self._limit = limit
        self._exempt = exempt
        self._by_origin: dict[str, OrderedDict[C, None]] = {}

    def add(self, address: str, connection: C) -> C | None:
        """Let a connection wait; returns the one of the same address to cut for it, if any."""
        if address in self._exempt:
            return None
        line = self._by_origin.setdefault(origin_of(address), OrderedDict())
        line[connection] = None
        line.move_to_end(connection)
        if len(line) <= self._limit:
            return None
        self.cut_count += 1
        return line.popitem(last=False)[0]

    def discard(self, address: str, connection: C) -> None:
        """Forget a connection that is served, became a socket or ended."""
        origin = origin_of(address)
        line = self._by_origin.get(origin)
        if line is None:
            return
        line.pop(connection, None)
        if not line:
            del self._by_origin[origin]
