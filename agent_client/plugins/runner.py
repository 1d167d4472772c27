"""The life of one plug-in on its host: started, configured, asked, and started again.

Whatever the plug-in does ends here: it is killed and comes back after a pause that grows.
A configuration that it refuses is not tried again before it changes. Belongs to one event
loop; `state` may be read from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from agent_client.errors import AgentError, Rejected
from agent_client.plugins import quota
from agent_client.plugins.plugin_log import PluginLog
from agent_client.plugins.process import Misbehaved, PluginProcess
from agent_client.plugins.program import Program, Programs
from agent_client.plugins.wire import (
    ConfigError,
    Configured,
    Measured,
    Ready,
    bounded,
    configure,
    cut,
    described,
)
from agent_client.protocol.plugins import (
    MetricAbout,
    PluginCondition,
    PluginSample,
    PluginState,
    PluginWanted,
)
from agent_client.transport.backoff import windows

logger = logging.getLogger(__name__)

READY_SECONDS = 20.0
CONFIGURE_SECONDS = 10.0
COLLECT_SECONDS = 30.0
FIRST_COLLECT_SECONDS = 1.0
"""How soon a new plug-in shows that it works, however long its interval is."""
MIN_INTERVAL_SECONDS = 0.1
MAX_PARTS = 20
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
STABLE_SECONDS = 60.0
"""A plug-in that ran so long begins with short pauses again."""
ABOUT_AGAIN_SECONDS = 3600.0
"""How often a running plug-in's description goes again: the server may have lost it."""


class _ConfigRefused(Exception):
    """The plug-in does not take this configuration."""


class _Renew(Exception):
    """The plug-in is to be started anew, and nobody is to blame."""


class Pace(NamedTuple):
    """The times of a runner, shorter in tests."""

    ready_seconds: float = READY_SECONDS
    collect_seconds: float = COLLECT_SECONDS
    first_pause_seconds: float = FIRST_PAUSE_SECONDS
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS


USUAL_PACE = Pace()


class Runner:
    """Keeps one plug-in active until `run` is canceled."""

    def __init__(
        self,
        wanted: PluginWanted,
        *,
        programs: Programs,
        on_sample: Callable[[PluginSample], None],
        pace: Pace = USUAL_PACE,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        """Nothing runs before `run`."""
        self._wanted = wanted
        self._programs = programs
        self._on_sample = on_sample
        self._pace = pace
        self._clock = clock
        self._wall_clock = wall_clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._changed = asyncio.Event()
        self._is_renewed = False
        self.cut_values = 0
        """Metrics and lines that were more than a sample may hold."""
        self.guard_pid = 0
        self._about: dict[str, MetricAbout] = {}
        self._about_due = clock()
        self.log = PluginLog(wanted.name, clock)
        self.state = PluginState(wanted.name, "starting", since=wall_clock())

    def update(self, wanted: PluginWanted) -> None:
        """Want something else of the plug-in from now on; the same again changes nothing."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    def renew(self) -> None:
        """Start the plug-in anew: what the host allows has changed."""
        self._is_renewed = True
        self._changed.set()

    def give_up(self, detail: str) -> None:
        """Note that nobody runs the plug-in any more."""
        self._set("failed", detail, "internal")

    async def run(self) -> NoReturn:
        """Keep the plug-in active."""
        pauses = self._fresh_pauses()
        while True:
            self._changed.clear()
            self._is_renewed = False
            began = self._clock()
            # The reason of the last failure stays readable until the plug-in runs. One that
            # keeps too much stays stopped until somebody has made room.
            if self.state.condition != "stopped":
                self._set("starting", self.state.detail)
            try:
                await self._live()
            # Nobody failed: no pause, no count.
            except _Renew:
                continue
            except _ConfigRefused as refused:
                self._set("failed", f"it refuses its configuration: {refused}")
                await self._changed.wait()
                continue
            # The same answer would come again; only a change of what is wanted or allowed helps.
            except Rejected as refusal:
                logger.warning("plug-in %s is refused: %s", self._wanted.name, refusal.detail)
                self._set("refused", refusal.detail, refusal.code)
                await self._changed.wait()
                continue
            except quota.StateFull as error:
                self._stopped_for(error)
                await self._until_room(error.directory)
                continue
            except AgentError as error:
                self._set("failed", error.detail, error.code)
            except (Misbehaved, OSError) as error:
                self._fail(str(error))
            # A plug-in that ran for long did not fail because of how it is started.
            if self._clock() - began >= STABLE_SECONDS:
                pauses = self._fresh_pauses()
            await self._pause(next(pauses))

    # --- one process ---------------------------------------------------------------

    async def _live(self) -> NoReturn:
        """Run one process to its end, which is always told by an exception."""
        wanted = self._wanted
        program = await self._programs.prepare(wanted)
        await asyncio.to_thread(quota.check_room, program.state_directory)
        if self.state.condition == "stopped":
            self._set("starting")
        process = await self._start(program)
        self.guard_pid = process.pid
        # One that misbehaved is not asked to stop: it has shown that it does not listen.
        polite = True
        try:
            await self._come_up(process, program, wanted)
            await self._collect_for_ever(process, program, wanted)
        except Misbehaved as error:
            polite = False
            if self.state.condition == "starting":
                await self._programs.failed(wanted, program, str(error))
            raise
        finally:
            await self._end(process, politely=polite)

    async def _start(self, program: Program) -> PluginProcess:
        """Start the process; who is canceled meanwhile still knows it, and ends it."""
        starting = asyncio.ensure_future(
            PluginProcess.start(program.argv, directory=program.directory, on_log=self.log.put)
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A process between fork and exec belongs to nobody yet: wait until it has an owner.
            process = await starting
            await process.stop(politely=False)
            raise

    async def _end(self, process: PluginProcess, *, politely: bool) -> None:
        """End the process; who is canceled meanwhile still waits until nothing is left."""
        ending = asyncio.ensure_future(process.stop(politely=politely))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise

    async def _come_up(
        self, process: PluginProcess, program: Program, wanted: PluginWanted
    ) -> None:
        """Bring a process to where it can be asked."""
        ready = await process.next_message(self._pace.ready_seconds, "say that it is ready")
        if not isinstance(ready, Ready):
            raise Misbehaved("its first message is not ready")
        # Its samples would be filed under a name it does not have.
        if ready.name != wanted.name:
            raise Misbehaved(f"it calls itself {cut(ready.name)!r}, not {wanted.name!r}")
        version = program.package.version if program.package is not None else ready.version
        self.state = msgspec.structs.replace(self.state, version=version[:40])
        self._about, self._about_due = described(ready), self._clock()
        await self._configure(process, program, wanted)
        process.send(b'{"type":"start"}\n')

    async def _configure(
        self, process: PluginProcess, program: Program, wanted: PluginWanted
    ) -> None:
        """Hand over the configuration; raises _ConfigRefused with the plug-in's words."""
        process.send(
            configure(
                wanted,
                state_directory=str(program.state_directory),
                directories=program.directories,
                hidden=program.hidden,
            )
        )
        answer = await process.next_message(CONFIGURE_SECONDS, "answer to its configuration")
        if isinstance(answer, ConfigError):
            raise _ConfigRefused(answer.sentence())
        if not isinstance(answer, Configured):
            raise Misbehaved("it did not answer to its configuration")

    async def _collect_for_ever(
        self, process: PluginProcess, program: Program, wanted: PluginWanted
    ) -> NoReturn:
        """Ask in the wanted interval; a slow answer moves the following questions."""
        interval = max(MIN_INTERVAL_SECONDS, wanted.interval_seconds)
        # A wrong sensor shows within seconds, not after an interval of an hour.
        due = self._clock() + min(interval, FIRST_COLLECT_SECONDS)
        look = self._clock() + quota.LOOK_SECONDS
        number = 0
        while True:
            await self._wait(process, min(due, look) - self._clock())
            if self._changed.is_set():
                wanted = await self._reconfigure(process, program, wanted)
                interval = max(MIN_INTERVAL_SECONDS, wanted.interval_seconds)
                # A shorter interval counts from now; the end of a long one is not waited for.
                due = min(due, self._clock() + interval)
                continue
            if self._clock() >= look:
                await asyncio.to_thread(quota.check_room, program.state_directory)
                look = self._clock() + quota.LOOK_SECONDS
                continue
            number += 1
            asked_at = self._clock()
            await self._collect(process, number)
            if self.state.condition != "running":
                self._set("running", program.note)
                await self._programs.worked(wanted, program)
            # Late questions are not caught up with: a burst would measure nothing.
            due = max(asked_at + interval, self._clock())

    async def _reconfigure(
        self, process: PluginProcess, program: Program, before: PluginWanted
    ) -> PluginWanted:
        """Configure a running plug-in; one that cannot do that is started anew."""
        self._changed.clear()
        wanted = self._wanted
        if self._is_renewed or wanted.package != before.package:
            raise _Renew
        try:
            await self._configure(process, program, wanted)
        except _ConfigRefused as refused:
            raise _Renew from refused
        return wanted

    async def _collect(self, process: PluginProcess, number: int) -> None:
        """Ask once and pass on all parts of the answer."""
        at = self._wall_clock()
        process.send(b'{"type":"collect","id":%d}\n' % number)
        for _ in range(MAX_PARTS):
            answer = await process.next_message(self._pace.collect_seconds, "answer")
            # An answer to an older question would be filed under a wrong moment.
            if not isinstance(answer, Measured) or answer.id != number:
                raise Misbehaved("it answered to something it was not asked")
            metrics, lines, refused = bounded(answer)
            self._count_cut(refused)
            if metrics or lines:
                about = self._about_if_due()
                self._on_sample(PluginSample(self._wanted.name, at, metrics, lines, about))
            if not answer.more:
                return
        raise Misbehaved(f"its answer has more than {MAX_PARTS} parts")

    def _about_if_due(self) -> dict[str, MetricAbout]:
        """Return what the metrics are, with the first sample and once an hour; else nothing."""
        if self._clock() < self._about_due:
            return {}
        self._about_due = self._clock() + ABOUT_AGAIN_SECONDS
        return self._about

    async def _wait(self, process: PluginProcess, seconds: float) -> None:
        """Wait for the next question; ends early when something else is wanted."""
        waiting: list[Awaitable[object]] = [process.watch(), self._changed.wait()]
        tasks = [asyncio.ensure_future(one) for one in waiting]
        try:
            await asyncio.wait(
                tasks, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED
            )
            # Raises what the plug-in did wrong while nothing was asked of it.
            if tasks[0].done():
                tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()

    # --- how it is -----------------------------------------------------------------

    def _fail(self, detail: str) -> None:
        """Note a failure; the plug-in comes back after a pause."""
        logger.warning("plug-in %s failed: %s", self._wanted.name, detail)
        self._set("failed", detail)
        self.state = msgspec.structs.replace(self.state, restarts=self.state.restarts + 1)

    async def _until_room(self, directory: Path) -> None:
        """Wait until somebody has made room, or something else is wanted."""
        while not self._changed.is_set():
            await self._pause(quota.STOPPED_LOOK_SECONDS)
            with contextlib.suppress(quota.StateFull):
                await asyncio.to_thread(quota.check_room, directory)
                return

    def _stopped_for(self, full: quota.StateFull) -> None:
        """Note that the plug-in keeps too much; since when does not move with every look."""
        if self.state.condition != "stopped":
            logger.warning("plug-in %s is stopped: %s", self._wanted.name, full.detail)
            self._set("stopped", full.detail, full.code)

    def _set(self, condition: PluginCondition, detail: str = "", code: str = "") -> None:
        self.state = msgspec.structs.replace(
            self.state,
            condition=condition,
            detail=cut(detail),
            code=code,
            since=self._wall_clock(),
        )

    def _count_cut(self, refused: int) -> None:
        """Count what a sample may not hold, and say so the first time."""
        if refused and not self.cut_values:
            logger.warning("plug-in %s measures more than a sample may hold", self._wanted.name)
        self.cut_values += refused

    def _fresh_pauses(self) -> Iterator[float]:
        return windows(
            initial_seconds=self._pace.first_pause_seconds,
            max_seconds=self._pace.longest_pause_seconds,
            rng=self._rng,
        )

    async def _pause(self, seconds: float) -> None:
        """Wait before another start; a change of what is wanted ends the pause."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
