"""A TCP proxy between agent and server that misbehaves on demand.

Runs in a thread of the test. Modes apply to open connections and to new ones at once.
Every piece, message or connection that a mode has touched is counted: a spell of bad
weather that touched nothing was none.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter, deque
from dataclasses import dataclass, field

from tests.faults.framing import Splitter, Unit

READ_BYTES = 64 * 1024
REPLAYED_MESSAGES = 40
ANSWER_SECONDS = 10
_STEP_SECONDS = 0.02
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Weather:
    """How the network behaves now; the default is a good one."""

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    bytes_per_second: float = 0.0
    stall_up: bool = False
    """What the agent sends waits until the weather is good again, and nobody is told."""
    stall_down: bool = False
    drop_up: bool = False
    """Half-open: what the agent sends is lost, and this connection never works again."""
    drop_down: bool = False
    cut_after_bytes: int = 0
    """A connection is reset in the middle of whatever it carries."""
    reset_share: float = 0.0
    """The share of pieces at which a connection is reset instead of passing them on."""
    duplicate_share: float = 0.0
    """The share of whole messages that arrive twice."""
    replay: bool = False
    """A new connection begins with what the agent sent on earlier ones."""
    refuse: bool = False


@dataclass(eq=False)
class Pair:
    """The two sides of one connection; a half-open one stays so for ever."""

    agent: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_lost_up: bool = False
    is_lost_down: bool = False
    messages: int = 0
    """How many messages the agent has sent."""
    splitters: dict[bool, Splitter] = field(
        default_factory=lambda: {True: Splitter(), False: Splitter()}
    )


class Proxy:
    """Listens on a loopback port and passes everything on to another one, or does not."""

    def __init__(self, target_port: int, *, seed: int = 0, is_framed: bool = False) -> None:
        """Start listening; is_framed passes on whole messages only, so that they can double."""
        self.weather = Weather()
        self.connections = 0
        self.up_bytes = self.down_bytes = 0
        """What was read from either side, also what a reset then lost."""
        self.touched: Counter[str] = Counter()
        """How many pieces, messages or connections each mode has changed."""
        self._target_port = target_port
        self._chance = random.Random(seed)
        self._is_framed = is_framed
        self._sent: deque[Unit] = deque(maxlen=REPLAYED_MESSAGES)
        self._pairs: set[Pair] = set()
        self._jobs: set[asyncio.Task[None]] = set()
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
            self.touched["refused"] += 1
            _reset(writer)
            return
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        pair = Pair(writer, to_server)
        self._pairs.add(pair)
        up = asyncio.ensure_future(self._pump(reader, to_server, pair, is_up=True))
        down = asyncio.ensure_future(self._pump(from_server, writer, pair, is_up=False))
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        # A half-closed connection is closed: neither side of ours uses one.
        for job in (up, down):
            job.cancel()
        for one in (writer, to_server):
            one.close()
        self._pairs.discard(pair)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: Pair,
        *,
        is_up: bool,
    ) -> None:
        """Pass on one direction, piece by piece, as the weather allows."""
        passed = 0
        with contextlib.suppress(ConnectionError, OSError):
            while data := await reader.read(READ_BYTES):
                self._count(len(data), is_up=is_up)
                units = pair.splitters[is_up].feed(data) if self._is_framed else [Unit(data)]
                for unit in units:
                    await self._wait(len(unit.data), is_up=is_up)
                    if self._is_lost(pair, is_up=is_up):
                        continue
                    if self._breaks(pair, writer, unit.data, passed):
                        return
                    passed += len(unit.data)
                    writer.write(unit.data)
                    self._repeat(pair, writer, unit, is_up=is_up)
                    await writer.drain()

    def _count(self, size: int, *, is_up: bool) -> None:
        if is_up:
            self.up_bytes += size
        else:
            self.down_bytes += size

    async def _wait(self, size: int, *, is_up: bool) -> None:
        """Wait as long as the weather delays a piece of this size, or holds it back."""
        weather = self.weather
        seconds = weather.delay_seconds + self._chance.uniform(0, weather.jitter_seconds)
        if weather.bytes_per_second:
            seconds += size / weather.bytes_per_second
        if seconds:
            self.touched["delayed"] += 1
            await asyncio.sleep(seconds)
        if self._is_stalled(is_up=is_up):
            self.touched["stalled"] += 1
        while self._is_stalled(is_up=is_up):
            await asyncio.sleep(_STEP_SECONDS)

    def _is_stalled(self, *, is_up: bool) -> bool:
        return self.weather.stall_up if is_up else self.weather.stall_down

    def _is_lost(self, pair: Pair, *, is_up: bool) -> bool:
        """Return whether this direction has been lost, now or before; it never comes back."""
        pair.is_lost_up |= self.weather.drop_up
        pair.is_lost_down |= self.weather.drop_down
        is_lost = pair.is_lost_up if is_up else pair.is_lost_down
        if is_lost:
            self.touched["dropped"] += 1
        return is_lost

    def _breaks(self, pair: Pair, writer: asyncio.StreamWriter, data: bytes, passed: int) -> bool:
        """Return whether the connection ends with this piece; part of it may arrive."""
        cut = self.weather.cut_after_bytes
        if cut and passed + len(data) >= cut:
            # Half a message arrives, then nothing: what a broken line leaves.
            self.touched["cut"] += 1
            writer.write(data[: max(0, cut - passed)])
            self._reset_pair(pair)
            return True
        if self._chance.random() < self.weather.reset_share:
            self._reset_pair(pair)
            return True
        return False

    def _repeat(self, pair: Pair, writer: asyncio.StreamWriter, unit: Unit, *, is_up: bool) -> None:
        """Send a whole message once more, or what was sent long ago behind the first one."""
        if not unit.is_repeatable or (unit.kind == "request" and not is_up):
            return
        if self._chance.random() < self.weather.duplicate_share:
            self.touched["duplicated"] += 1
            self._send(writer, unit)
        if not is_up:
            return
        pair.messages += 1
        if self.weather.replay and pair.messages == 1:
            self.touched["replayed"] += len(self._sent)
            for earlier in list(self._sent):
                self._send(writer, earlier)
        if pair.messages > 1:  # the first one greets, and greets only once
            self._sent.append(unit)

    def _send(self, writer: asyncio.StreamWriter, unit: Unit) -> None:
        """Send a frame on its connection, a request on one of its own: answers have an order."""
        if unit.kind == "frame":
            writer.write(unit.data)
            return
        job = self._loop.create_task(self._ask_again(unit.data))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _ask_again(self, request: bytes) -> None:
        """Make a request whose answer nobody waits for."""
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            writer.write(request)
            async with asyncio.timeout(ANSWER_SECONDS):
                await reader.read(READ_BYTES)
            writer.close()

    def _reset_pairs(self) -> None:
        for pair in list(self._pairs):
            self._reset_pair(pair)

    def _reset_pair(self, pair: Pair) -> None:
        self.touched["reset"] += 1
        for writer in (pair.agent, pair.server):
            _reset(writer)
        self._pairs.discard(pair)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset, so that the other side gets an error."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
