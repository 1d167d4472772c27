"""A TCP proxy between agent and server that misbehaves on demand.

Runs in a thread of the test. Modes apply to open connections and to new ones at once:
delay and jitter, a limited rate, a stall of one direction or both (half-open: nobody is
told), a reset, a cut after so many bytes, random resets, and no connection at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass

READ_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Weather:
    """How the network behaves now; the default is a good one."""

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    bytes_per_second: float = 0.0
    stall_up: bool = False
    """What the agent sends goes nowhere, and nobody is told."""
    stall_down: bool = False
    cut_after_bytes: int = 0
    """A connection is reset in the middle of whatever it carries."""
    reset_share: float = 0.0
    """The share of pieces at which a connection is reset instead of passing them on."""
    refuse: bool = False


class Proxy:
    """Listens on a loopback port and passes everything on to another one, or does not."""

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        """Start listening; the proxy ends with `close`."""
        self.weather = Weather()
        self.connections = 0
        self.up_bytes = self.down_bytes = 0
        """What was read from either side, also what a reset then lost."""
        self._target_port = target_port
        self._chance = random.Random(seed)
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(5)

    @property
    def url(self) -> str:
        """Return the address that agents are given."""
        return f"http://127.0.0.1:{self.port}"

    def set(self, **weather: object) -> None:
        """Change the weather; what is not named becomes good again."""
        self.weather = Weather(**weather)  # type: ignore[arg-type]

    def reset_all(self) -> None:
        """Reset every open connection."""
        self._loop.call_soon_threadsafe(self._reset_pairs)

    def close(self) -> None:
        """End the proxy and every connection."""
        self._loop.call_soon_threadsafe(self._reset_pairs)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", 0, limit=READ_BYTES)
        )
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        jobs = asyncio.all_tasks(self._loop)
        for job in jobs:
            job.cancel()
        self._loop.run_until_complete(asyncio.gather(*jobs, return_exceptions=True))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the target and pass on both ways until one side ends."""
        self.connections += 1
        if self.weather.refuse:
            _reset(writer)
            return
        try:
            onward = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        pair = (writer, onward[1])
        self._pairs.add(pair)
        up = asyncio.ensure_future(self._pump(reader, onward[1], pair, is_up=True))
        down = asyncio.ensure_future(self._pump(onward[0], writer, pair, is_up=False))
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        # A half-closed connection is closed: neither side of ours uses one.
        for job in (up, down):
            job.cancel()
        for one in pair:
            one.close()
        self._pairs.discard(pair)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        *,
        is_up: bool,
    ) -> None:
        """Pass on one direction, piece by piece, as the weather allows."""
        passed = 0
        with contextlib.suppress(ConnectionError, OSError):
            while data := await reader.read(READ_BYTES):
                self._count(len(data), is_up=is_up)
                await self._wait(len(data))
                while self.weather.stall_up if is_up else self.weather.stall_down:
                    await asyncio.sleep(0.02)
                cut = self.weather.cut_after_bytes
                if cut and passed + len(data) >= cut:
                    # Half a message arrives, then nothing: what a broken line leaves.
                    writer.write(data[: max(0, cut - passed)])
                    await writer.drain()
                    self._reset_pair(pair)
                    return
                if self._chance.random() < self.weather.reset_share:
                    self._reset_pair(pair)
                    return
                passed += len(data)
                writer.write(data)
                await writer.drain()

    def _count(self, size: int, *, is_up: bool) -> None:
        if is_up:
            self.up_bytes += size
        else:
            self.down_bytes += size

    async def _wait(self, size: int) -> None:
        """Wait as long as the weather delays a piece of this size."""
        weather = self.weather
        seconds = weather.delay_seconds + self._chance.uniform(0, weather.jitter_seconds)
        if weather.bytes_per_second:
            seconds += size / weather.bytes_per_second
        if seconds:
            await asyncio.sleep(seconds)

    def _reset_pairs(self) -> None:
        for pair in list(self._pairs):
            self._reset_pair(pair)

    def _reset_pair(self, pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        for writer in pair:
            _reset(writer)
        self._pairs.discard(pair)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset, so that the other side gets an error."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
