"""Tells systemd that the agent is up, that its loop turns, and that it leaves.

The protocol is one datagram to the socket that NOTIFY_SOCKET names; without it nothing is
said. The signs of life come from the main loop itself, so a blocked loop ends them and
systemd starts the agent anew; tasks go on meanwhile (KillMode=process).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping

logger = logging.getLogger(__name__)

DEFAULT_EACH_SECONDS = 20.0
SIGNS_PER_LIMIT = 3
"""Two signs may be late before systemd acts."""


class ServiceManager:
    """What this process says to whoever manages it as a service."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read the socket's address and the watchdog's limit; both may be absent."""
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of an abstract address.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        limit = environ.get("WATCHDOG_USEC", "")
        self.each_seconds = (
            int(limit) / 1e6 / SIGNS_PER_LIMIT
            if limit.isascii() and limit.isdigit() and int(limit)
            else DEFAULT_EACH_SECONDS
        )

    async def run(self) -> None:
        """Say that the agent is up, then give signs of life until canceled."""
        if not self._address:
            return
        # At once, not when the server answers: a server that is away must not end the start.
        self._tell("READY=1\nWATCHDOG=1")
        while True:
            await asyncio.sleep(self.each_seconds)
            self._tell("WATCHDOG=1")

    def leaving(self) -> None:
        """Say that the agent ends by itself."""
        if self._address:
            self._tell("STOPPING=1")

    def _tell(self, words: str) -> None:
        """Send one datagram; a manager that is away is no reason to end."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                # The loop must never wait for a manager whose queue is full.
                channel.setblocking(False)
                channel.sendto(words.encode("ascii"), self._address)
        except OSError as error:
            logger.warning("the service manager cannot be told: %s", error)
