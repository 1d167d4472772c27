"""Keeps the plug-ins of this host equal to what is wanted, as far as its policy allows.

Every wanted plug-in has a state, also one that is refused. Belongs to one event loop;
`states` may be asked from any thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from agent_client.errors import Rejected
from agent_client.plugins.builtin import MODULES
from agent_client.plugins.program import Programs
from agent_client.plugins.runner import USUAL_PACE, Pace, Runner
from agent_client.policy import Policy
from agent_client.protocol.plugins import PluginSample, PluginState, PluginWanted

logger = logging.getLogger(__name__)

MAX_PLUGINS = 50
"""As many as a heartbeat tells of."""


class PluginHost:
    """The runners of all active plug-ins."""

    def __init__(
        self,
        *,
        programs: Programs,
        on_sample: Callable[[PluginSample], None],
        policy: Policy,
        pace: Pace = USUAL_PACE,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing runs before `apply`."""
        self._policy = policy
        self._programs = programs
        self._on_sample = on_sample
        self._pace = pace
        self._wall_clock = wall_clock
        self._runners: dict[str, Runner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[str, PluginState] = {}

    async def apply(self, wanted: Sequence[PluginWanted], policy: Policy) -> None:
        """Unload what is wanted no more, configure what changed, load what is new."""
        # What runs was started under the old policy: its directories and keys count no more.
        if policy != self._policy:
            self._policy = policy
            for runner in self._runners.values():
                runner.renew()
        refused = {one.name: state for one in wanted if (state := self._refusal(one)) is not None}
        allowed = {one.name: one for one in wanted if one.name not in refused}
        # First make room: a plug-in that takes the place of another must find it free.
        await self._unload([name for name in self._runners if name not in allowed])
        # Only now: "refused" is said of a plug-in none of whose processes is left.
        self._refused = refused
        for name, one in allowed.items():
            if name in self._runners:
                self._runners[name].update(one)
            else:
                self._load(one)

    async def close(self) -> None:
        """End every plug-in; returns when no process is left."""
        await self._unload(list(self._runners))

    def states(self) -> tuple[PluginState, ...]:
        """Return how every wanted plug-in is, at most as many as a heartbeat takes."""
        # A copy: the loop may change the table while another thread reads it.
        running = [runner.state for runner in tuple(self._runners.values())]
        return (*running, *tuple(self._refused.values()))[:MAX_PLUGINS]

    def _refusal(self, wanted: PluginWanted) -> PluginState | None:
        """Return the state of a plug-in that this host does not run, None for others."""
        try:
            self._policy.check_work("plugins")
            self._policy.check_plugin(wanted.name, is_builtin=is_builtin(wanted))
        except Rejected as error:
            # Since when it is refused must not move with every look at it.
            known = self._refused.get(wanted.name)
            since = known.since if known is not None else self._wall_clock()
            return PluginState(
                wanted.name, "refused", detail=error.detail, code=error.code, since=since
            )
        return None

    def _load(self, wanted: PluginWanted) -> None:
        """Start the life of one plug-in."""
        name = wanted.name
        # A state that no heartbeat tells would be a plug-in nobody knows of.
        if len(self._runners) >= MAX_PLUGINS:
            detail = f"this host runs at most {MAX_PLUGINS} plug-ins at once"
            self._refused[name] = PluginState(
                name, "refused", detail=detail, code="too_many", since=self._wall_clock()
            )
            return
        runner = Runner(wanted, programs=self._programs, on_sample=self._on_sample, pace=self._pace)
        self._runners[name] = runner
        self._tasks[name] = asyncio.ensure_future(self._live(name, runner))

    async def _live(self, name: str, runner: Runner) -> None:
        """Run one runner; a defect of ours must not take the other plug-ins along."""
        try:
            await runner.run()
        except Exception as error:
            logger.exception("plug-in %s cannot be run", name)
            runner.give_up(f"the agent cannot run it: {error}")

    async def _unload(self, names: Sequence[str]) -> None:
        """End plug-ins, all at once: each may take its grace."""
        # Removed from the table at once, so that a failure below leaves no half-dead entry.
        tasks = [self._tasks.pop(name) for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for name in names:
            del self._runners[name]


def is_builtin(wanted: PluginWanted) -> bool:
    """Return whether a wanted plug-in is one that comes with the agent."""
    return wanted.package is None and wanted.name in MODULES
