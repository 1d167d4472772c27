"""One running plug-in as a process: started without secrets, read within bounds, ended whole.

Owns the pipes. A plug-in that writes too much, too long lines or no messages is a
`Misbehaved` to whoever reads next. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from agent_client.plugins.wire import (
    MAX_MESSAGE_BYTES,
    Log,
    PluginMessage,
    WireError,
    cut,
    decode,
)

_GUARD = (sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")))
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
"""Nothing of the agent's environment: it may hold credentials."""
MAX_BYTES_PER_SECOND = 4 * 1024 * 1024
MAX_LINES_PER_SECOND = 1_000
MAX_WAITING_MESSAGES = 64
STOP_SECONDS = 3.0
"""From `stop` until TERM; the guard's grace until KILL comes on top."""
END_SECONDS = 15.0
_ERROR_BYTES = 2_048
_READ_BYTES = 64 * 1024


class Misbehaved(Exception):
    """The plug-in broke the rules or ended; the text says how."""


class Flow:
    """Counts what a plug-in writes in each second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with an empty second."""
        self._clock = clock
        self._since = clock()
        self._bytes = 0
        self._lines = 0

    def count(self, size_bytes: int, lines: int = 0) -> None:
        """Count what arrived; raises Misbehaved when it is too much for a second."""
        now = self._clock()
        # Whole seconds instead of a sliding window: exact enough for a flood, and free.
        if now - self._since >= 1.0:
            self._since, self._bytes, self._lines = now, 0, 0
        self._bytes += size_bytes
        self._lines += lines
        if self._bytes > MAX_BYTES_PER_SECOND:
            raise Misbehaved(f"it wrote more than {MAX_BYTES_PER_SECOND} bytes in a second")
        if self._lines > MAX_LINES_PER_SECOND:
            raise Misbehaved(f"it wrote more than {MAX_LINES_PER_SECOND} lines in a second")


class PluginProcess:
    """The process of one plug-in, behind its guard."""

    def __init__(
        self, process: asyncio.subprocess.Process, control: int, on_log: Callable[[Log], None]
    ) -> None:
        """Take over a process from `start`."""
        self._process = process
        self._control = control
        self._on_log = on_log
        self._flow = Flow()
        self._errors: deque[bytes] = deque()
        self._error_bytes = 0
        self._messages: asyncio.Queue[PluginMessage | None] = asyncio.Queue(MAX_WAITING_MESSAGES)
        self._failure = ""
        self._is_over = False
        self._readers = [
            asyncio.ensure_future(self._read()),
            asyncio.ensure_future(self._read_errors()),
        ]

    @classmethod
    async def start(
        cls, argv: Sequence[str], *, directory: Path, on_log: Callable[[Log], None]
    ) -> PluginProcess:
        """Start a plug-in in its directory; raises OSError."""
        # Its write end is ours alone; the kernel closes it however this process ends.
        control_read, control_write = os.pipe()
        try:
            # In a session of its own: Ctrl-C at the agent's terminal is for the agent alone.
            process = await asyncio.create_subprocess_exec(
                *_GUARD,
                str(control_read),
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(control_read,),
                env=_ENVIRONMENT,
                cwd=directory,
                start_new_session=True,
                limit=MAX_MESSAGE_BYTES,
            )
        except BaseException:
            # Nobody would ever close it for a process that was not started.
            os.close(control_write)
            raise
        finally:
            os.close(control_read)
        return cls(process, control_write, on_log)

    @property
    def pid(self) -> int:
        """Return the guard's process id."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Hand a line over; one to a plug-in that is gone is nobody's."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(line)

    async def next_message(self, within_seconds: float, what: str) -> PluginMessage:
        """Return the next message; raises Misbehaved when it does not come in time."""
        try:
            async with asyncio.timeout(within_seconds):
                message = await self._take()
        except TimeoutError:
            raise Misbehaved(f"it did not {what} within {within_seconds:g} s") from None
        if message is None:
            raise Misbehaved(await self._why_ended())
        return message

    async def watch(self) -> None:
        """Return never; raises Misbehaved when the plug-in does something unasked or ends."""
        message = await self._take()
        if message is None:
            raise Misbehaved(await self._why_ended())
        raise Misbehaved(f"it sent {type(message).__name__} without having been asked")

    async def stop(self, *, politely: bool) -> None:
        """End the plug-in and everything it started; returns when nothing is left."""
        if politely:
            self.send(b'{"type":"stop"}\n')
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
        # TERM goes to the guard, which hands it on and kills what does not listen.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:  # the kernel takes the plug-in itself along with its guard
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._let_go()

    async def _take(self) -> PluginMessage | None:
        """Return the next message, None at the end, also when asked again."""
        # Who learned of the end may have been canceled before acting on it.
        if self._is_over:
            return None
        message = await self._messages.get()
        self._is_over = message is None
        return message

    def _let_go(self) -> None:
        for reader in self._readers:
            reader.cancel()
        if self._control >= 0:
            os.close(self._control)
            self._control = -1
        if self._process.stdin is not None:
            self._process.stdin.close()
        # Pipes that a lost descendant holds open must not be ours for ever.
        self._process._transport.close()  # type: ignore[attr-defined]

    async def _why_ended(self) -> str:
        """Return the reason for a failure, with the last thing the plug-in complained about."""
        # The first cause counts: what follows is only how it was ended.
        if self._failure:
            return self._failure
        code: int | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                code = await self._process.wait()
        how = "closed its output" if code is None else f"ended with exit code {code}"
        said = b"".join(self._errors).decode("utf-8", "replace").strip().splitlines()
        return cut(f"it {how}: {said[-1]}" if said else f"it {how}")

    async def _read(self) -> None:
        """Read messages until the plug-in ends or misbehaves; None is the end."""
        try:
            await self._read_messages()
        except (Misbehaved, WireError) as error:
            self._failure = str(error)
        except (asyncio.LimitOverrunError, ValueError):
            self._failure = f"it wrote a line longer than {MAX_MESSAGE_BYTES} bytes"
        await self._messages.put(None)

    async def _read_messages(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 (it is a pipe of our own)
        # What has no end of line was cut off by the plug-in's own end.
        while (line := await stdout.readline()).endswith(b"\n"):
            self._flow.count(len(line), lines=1)
            message = decode(line)
            if isinstance(message, Log):
                self._on_log(message)
            else:
                # A plug-in that is ahead of its agent waits in its pipe.
                await self._messages.put(message)

    async def _read_errors(self) -> None:
        """Keep the end of what the plug-in complains about."""
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101 (it is a pipe of our own)
        while data := await stderr.read(_READ_BYTES):
            # Only the end: the last line of a traceback is what a person needs.
            self._errors.append(data[-_ERROR_BYTES:])
            while len(self._errors) > 1 and sum(map(len, self._errors)) > _ERROR_BYTES:
                self._errors.popleft()
            try:
                self._flow.count(len(data))
            except Misbehaved as error:
                self._failure = self._failure or str(error)
                # A flood on one stream ends the reading of both.
                self._readers[0].cancel()
                await self._messages.put(None)
                return
