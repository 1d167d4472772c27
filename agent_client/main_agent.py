"""The main agent of a host: registers it, keeps in touch, starts one sub-agent per task.

A thin face over the parts that `app` puts together. It runs no task itself and may end at
any moment: running tasks go on and are adopted at the next start. SIGTERM and SIGINT mean
leave, never stop the tasks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent_client.catalogue import announce
from agent_client.config import AgentConfig
from agent_client.errors import ConfigError, ExitCode
from agent_client.health.service_manager import ServiceManager
from agent_client.policy_file import host_policy
from agent_client.protocol.messages import Heartbeat, Resources, ServerMessage, TaskSpec
from agent_client.reload import changes_between
from agent_client.state import Identity, StateDirectory

if TYPE_CHECKING:
    from agent_client.app import App
    from agent_client.policy import Policy
    from agent_client.resource_util import ResourceUtil

logger = logging.getLogger(__name__)

LIVENESS_VARIABLES = ("AGENT_LIVENESS_FD", "AGENT_PARENT_PIPE")
"""Name a descriptor; when its other end closes, whoever started this agent is gone."""


class MainAgent:
    """One agent process, from its start to its end."""

    def __init__(
        self, config: AgentConfig, *, reload: Callable[[], AgentConfig] | None = None
    ) -> None:
        """Keep the configuration; nothing is touched before `run`."""
        self._config = config
        self._reload = reload
        self._state = StateDirectory(config.state_dir)
        self._leaving: asyncio.Event | None = None
        self._is_restarting = False
        self._app: App | None = None

    def run(self) -> int:
        """Run until told to leave and return the exit code; raises AgentError.

        Terminal errors of the start (no credential, refused token, locked state) come out
        as they are: the caller says them and ends.
        """
        # Nothing of the agent is for others; scripts get 022 again.
        os.umask(0o077)
        self._state.lock()
        try:
            return asyncio.run(self._live())
        finally:
            self._state.close()

    def leave(self) -> None:
        """Ask the agent to end; running tasks go on."""
        if self._leaving is not None:
            self._leaving.set()

    def restart(self) -> None:
        """Ask the agent to make room for another version of itself; running tasks go on."""
        self._is_restarting = True
        self.leave()

    def reload(self) -> None:
        """Read the configuration and the policy anew; what is wrong changes nothing."""
        if self._reload is None or self._app is None:
            return
        try:
            config = self._reload()
            policy = host_policy(config, is_first_start=False)
        except ConfigError as error:
            announce(logger, "error", code=error.code, detail=error.detail, remedy=error.remedy)
            return
        changes = changes_between(self._config, config)
        self._app.reconfigure(config, policy)
        self._config = config
        announce(
            logger,
            "reloaded",
            live=", ".join(changes.live) or "-",
            later=", ".join(changes.at_next_start) or "-",
        )

    async def register(self, resources: ResourceUtil) -> Identity:
        """Return this host's identity, from disk or by registering it; raises Terminal."""
        from agent_client import registration
        from agent_client.system_info import collect_system_info
        from agent_client.transport.backoff import make_backoff

        identity = registration.stored_identity(self._config, self._state)
        if identity is not None:
            return identity
        return await registration.register(
            self._config,
            state=self._state,
            backoff=make_backoff(self._config),
            system=collect_system_info(resources),
        )

    async def start_heartbeat(self) -> None:
        """Start every part: tasks are adopted, the connection is made, beats go out."""
        await self._running.start()

    def get_resource_info(self) -> Resources | None:
        """Return the last sample of the host, None before the first."""
        return self._running.sampler.latest.resources

    def send_heartbeat(self) -> Heartbeat:
        """Send a heartbeat now and return it."""
        beat = self._running.heart.build()
        self._running.link.send_beat(beat)
        return beat

    def handle_heartbeat_response(self, message: ServerMessage) -> None:
        """Act on one message of the server, as if it had just arrived."""
        self._running.dispatcher.on_message(message)

    def create_sub_agent(self, spec: TaskSpec) -> None:
        """Take an offered task: book it, store it, and start its sub-agent after `go`."""
        self._running.runs.offers([spec])

    async def cleanup(self) -> None:
        """Stop every part in reverse order; running tasks go on."""
        if self._app is not None:
            await self._app.stop()

    @property
    def _running(self) -> App:
        if self._app is None:
            raise RuntimeError("the agent has not been started")
        return self._app

    async def _live(self) -> int:
        """Live from registration to cleanup, or until told to leave."""
        self._leaving = asyncio.Event()
        self._listen_for_leave()
        leaving = asyncio.ensure_future(self._leaving.wait())
        living = asyncio.ensure_future(self._work())
        manager = ServiceManager(os.environ)
        signs = asyncio.ensure_future(manager.run())
        try:
            await asyncio.wait([leaving, living], return_when=asyncio.FIRST_COMPLETED)
            if living.done():
                living.result()
        finally:
            if not self._is_restarting:
                # For a service manager the process goes on: it must not be told of an end.
                manager.leaving()
            leaving.cancel()
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            await self.cleanup()
            # Last: a long cleanup is a sign of life too.
            signs.cancel()
        return ExitCode.RESTART if self._is_restarting else ExitCode.OK

    async def _work(self) -> None:
        """Register, start, and wait for a part that fails."""
        from agent_client.app import App
        from agent_client.resource_util import ResourceUtil
        from agent_client.tasks.login_environment import read_login_environment

        environment = asyncio.ensure_future(
            asyncio.to_thread(read_login_environment, logger=logger)
        )
        resources = ResourceUtil(state_dir=self._config.state_dir)
        # Before anything is registered: a host that cannot trust its policy stays away.
        policy = self._host_policy()
        identity = await self.register(resources)
        self._app = App(
            self._config,
            state=self._state,
            identity=identity,
            resources=resources,
            login_environment=await environment,
            policy=policy,
            on_restart=self.restart,
        )
        await self.start_heartbeat()
        await self._app.failed

    def _host_policy(self) -> Policy:
        """Return what this host allows, with a line in the log about what is in doubt."""
        is_first_start = self._state.load_identity() is None
        policy = host_policy(self._config, is_first_start=is_first_start)
        for doubt in policy.doubts():
            announce(logger, "policy_doubt", detail=doubt.detail, remedy=doubt.remedy)
        return policy

    def _listen_for_leave(self) -> None:
        """Leave on the usual signals, and when whoever started this agent is gone."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.leave)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        named = [os.environ[name] for name in LIVENESS_VARIABLES if os.environ.get(name)]
        if not named:
            return
        try:
            descriptor = int(named[0])
            os.set_inheritable(descriptor, False)
            os.set_blocking(descriptor, False)
            loop.add_reader(descriptor, self._starter_gone, descriptor)
        except (ValueError, OSError):
            logger.warning("%s is no open descriptor: %s", LIVENESS_VARIABLES[0], named[0])

    def _starter_gone(self, descriptor: int) -> None:
        """Leave when the pipe has ended; bytes in it mean nothing."""
        try:
            if os.read(descriptor, 4096):
                return
        except BlockingIOError:
            return
        except OSError:
            logger.debug("the liveness pipe cannot be read")
        asyncio.get_running_loop().remove_reader(descriptor)
        self.leave()


def setup_main_agent(
    config: AgentConfig, *, reload: Callable[[], AgentConfig] | None = None
) -> MainAgent:
    """Return the main agent of this host, ready to run; reload reads its settings anew."""
    return MainAgent(config, reload=reload)
