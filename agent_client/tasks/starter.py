"""Starts sub-agents: through the zygote, or as plain processes where there is none.

Owns the zygote's process and socket. Promises that a start either returns the sub-agent's
pidfd, or raises StartRefused (nothing was started) or StartUnknown (the zygote died while
asked: only the task's claim can tell). A dead zygote is replaced; running tasks do not
notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent_client import sub_agent

_PACKAGE = Path(sub_agent.__file__).parent
_INTERPRETER = (sys.executable, "-I", "-S", "-X", "utf8")
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
"""The zygote gets nothing of the agent's environment, so no sub-agent can leak it."""
READY_SECONDS = 10.0
MAX_REQUESTS_AT_ONCE = 32
MAX_QUICK_DEATHS = 3
QUICK_DEATH_SECONDS = 1.0
_MAX_ANSWER_BYTES = 4096


class StartRefused(Exception):
    """No sub-agent was started; the text says why."""


class StartUnknown(Exception):
    """The zygote died before it answered; a sub-agent may or may not have been started."""


class SubAgentProcess(NamedTuple):
    """A started sub-agent; the pidfd belongs to the caller."""

    pid: int
    pidfd: int


class Starter:
    """Keeps a zygote ready and asks it for sub-agents, one answer per request in order."""

    def __init__(self, *, hints: int, logger: logging.Logger) -> None:
        self._hints = hints
        self._logger = logger
        self._zygote: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._waiting: deque[asyncio.Future[SubAgentProcess]] = deque()
        self._ready = asyncio.Event()
        self._asking = asyncio.Semaphore(MAX_REQUESTS_AT_ONCE)
        self._plain: dict[int, subprocess.Popen[bytes]] = {}
        self._started_at = 0.0
        self._quick_deaths = 0
        self._use_plain = not hasattr(os, "fork")

    @property
    def zygote_pid(self) -> int | None:
        """Return the zygote's pid, None where sub-agents are plain processes."""
        return self._zygote.pid if self._zygote is not None else None

    async def start(self) -> None:
        """Bring up the zygote; falls back to plain processes when it does not answer."""
        if not self._use_plain:
            self._try_zygote()
        try:
            await self._until_ready()
        except TimeoutError:
            self._logger.warning("zygote does not answer, sub-agents start as plain processes")
            self._use_plain = True
            self._drop_zygote()

    async def start_sub_agent(self, directory: Path) -> SubAgentProcess:
        """Start the sub-agent of a task directory; raises StartRefused or StartUnknown."""
        async with self._asking:
            try:
                await self._until_ready()
            except TimeoutError as error:
                raise StartRefused("the zygote does not answer; see the agent's log") from error
            if self._use_plain or self._socket is None:
                return self._start_plain(directory)
            return await self._ask(self._socket, directory)

    async def _ask(self, channel: socket.socket, directory: Path) -> SubAgentProcess:
        """Send one request and await its answer."""
        answer: asyncio.Future[SubAgentProcess] = asyncio.get_running_loop().create_future()
        try:
            channel.send(msgspec.json.encode({"directory": os.fspath(directory)}))
        except OSError as error:
            raise StartUnknown(str(error)) from error
        self._waiting.append(answer)
        return await answer

    def reap(self, pid: int) -> None:
        """Collect a dead sub-agent if it was our own child, by its pid only."""
        plain = self._plain.pop(pid, None)
        if plain is not None:
            plain.poll()
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)

    async def close(self) -> None:
        """Let the zygote go; sub-agents stay."""
        self._use_plain = True
        zygote = self._zygote
        self._drop_zygote()
        if zygote is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(zygote.wait, 5)

    async def _until_ready(self) -> None:
        if not self._use_plain:
            await asyncio.wait_for(self._ready.wait(), READY_SECONDS)

    def _try_zygote(self) -> None:
        """Exec a zygote, or give the zygote up when the host refuses."""
        try:
            self._spawn_zygote()
        except OSError as error:
            self._logger.error("zygote cannot start (%s), sub-agents are plain processes", error)
            self._use_plain = True
            self._ready.set()

    def _spawn_zygote(self) -> None:
        """Exec a zygote; it reports itself ready on its socket."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._zygote = subprocess.Popen(
                (*_INTERPRETER, _PACKAGE / "zygote.py", str(theirs.fileno()), str(self._hints)),
                pass_fds=(theirs.fileno(), self._hints),
                env=_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._socket = ours
        self._started_at = loop.time()
        loop.add_reader(ours, self._hear, ours)

    def _hear(self, channel: socket.socket) -> None:
        """Take one answer of the zygote, or its end."""
        try:
            data, descriptors, _, _ = socket.recv_fds(channel, _MAX_ANSWER_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._replace_zygote()
            return
        answer = msgspec.json.decode(data)
        if "ready" in answer:
            self._ready.set()
            return
        waiting = self._waiting.popleft()
        if waiting.done():  # its caller gave up; the task is found again by its claim
            for descriptor in descriptors:
                os.close(descriptor)
        elif "pid" in answer:
            waiting.set_result(SubAgentProcess(answer["pid"], descriptors[0]))
        else:
            waiting.set_exception(StartRefused(answer.get("error", "the zygote refused")))

    def _replace_zygote(self) -> None:
        """Exec a new zygote for one that ended; one that keeps dying is given up."""
        lived_seconds = asyncio.get_running_loop().time() - self._started_at
        self._quick_deaths = self._quick_deaths + 1 if lived_seconds < QUICK_DEATH_SECONDS else 0
        self._drop_zygote()
        if self._quick_deaths >= MAX_QUICK_DEATHS:
            self._logger.error("zygote keeps dying, sub-agents start as plain processes from now")
            self._use_plain = True
            self._ready.set()
            return
        self._logger.warning("zygote ended, starting another")
        self._try_zygote()

    def _drop_zygote(self) -> None:
        """Forget the zygote; whoever waits for it learns that the outcome is unknown."""
        self._ready.clear()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(StartUnknown("the zygote ended while it was asked"))
        if self._zygote is not None:
            self._zygote.poll()
            self._zygote = None

    def _start_plain(self, directory: Path) -> SubAgentProcess:
        """Start a sub-agent without zygote."""
        try:
            process = subprocess.Popen(
                (*_INTERPRETER, _PACKAGE / "__main__.py", directory, str(self._hints)),
                pass_fds=(self._hints,),
                env=_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise StartRefused(f"no process could be made: {error.strerror}") from error
        self._plain[process.pid] = process
        return SubAgentProcess(process.pid, os.pidfd_open(process.pid))
