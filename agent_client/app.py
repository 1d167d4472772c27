"""Puts the agent together: every part, what it is told, and the one order of start and stop.

Start order: what holds the tasks comes before what talks about them, and the connection
comes last, so that the first word to the server is complete. Stop is the exact reverse.
No part knows this module; behaviour belongs into the parts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agent_client import __version__
from agent_client.booking import Ledger
from agent_client.capacity import capacity_of, usable_cores
from agent_client.config import AgentConfig
from agent_client.dispatch import Dispatcher
from agent_client.files.host import told_to_transfers
from agent_client.files.places import places_of
from agent_client.health.endpoint import HealthEndpoint
from agent_client.health.lag import LagMeter
from agent_client.health.report import health_of
from agent_client.heartbeat import Heart
from agent_client.log_shipping import LogShipper
from agent_client.plugins.service import Plugins
from agent_client.policy import Policy
from agent_client.probing.dialing import Dialing
from agent_client.protocol.messages import Hello, Welcome
from agent_client.protocol.session import Session
from agent_client.registration import trust_of
from agent_client.run_reports import RunReports
from agent_client.runs import Runs
from agent_client.sampler import Sampler
from agent_client.state import Identity, StateDirectory
from agent_client.system_info import collect_system_info
from agent_client.system_news import SystemReporter
from agent_client.tasks.identity import boot_id
from agent_client.tasks.supervisor import LocalTask, Supervisor
from agent_client.throttle import Throttle
from agent_client.transport.backoff import make_backoff
from agent_client.transport.base import Endpoint, Transport
from agent_client.transport.link import Link, Ways
from agent_client.transport.polling import PollingTransport
from agent_client.transport.websocket import WebSocketTransport
from agent_client.upgrade.installation import find_installation
from agent_client.upgrade.upgrader import Upgrader

if TYPE_CHECKING:
    from agent_client.resource_util import ResourceUtil

logger = logging.getLogger(__name__)


class Part(NamedTuple):
    """One thing that is started and stopped; both may wait."""

    name: str
    start: Callable[[], Awaitable[None] | None]
    stop: Callable[[], Awaitable[None] | None]


class App:
    """The running agent: its parts and the order in which they live."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        state: StateDirectory,
        identity: Identity,
        resources: ResourceUtil,
        login_environment: Mapping[str, str],
        policy: Policy | None = None,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        """Build every part; nothing runs yet. Needs a running loop.

        on_restart is called when another version of the agent is to take over.
        """
        self._on_restart = on_restart
        self.config = config
        self.identity = identity
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the exception of a part that ended by itself."""
        self._state = state
        self._resources = resources
        self.policy = policy or Policy()
        self._roots = places_of(self.policy.roots())
        self._capacity = capacity_of(
            resources,
            slots=self.policy.slots(config.task.max_concurrent_tasks),
            path=login_environment.get("PATH"),
        )
        self.started_at = time.monotonic()
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._started: list[Part] = []
        self.session = Session(prefix=secrets.token_hex(4))
        self.link = self._make_link()
        self.system = self._make_system()
        self.logs = self._make_logs()
        self.ledger = Ledger(
            cpu_ids=usable_cores(self._capacity.cpu_cores),
            slots=self._capacity.slots,
            gpu_memory_mb={gpu.uuid: gpu.memory_total for gpu in self._capacity.gpus},
            script_types=self._capacity.script_types,
        )
        self.supervisor = self._make_supervisor(login_environment)
        self.runs = self._make_runs()
        self.sampler = Sampler(resources, cpu_cores_booked=lambda: self.ledger.cpu_cores_booked)
        self.throttle = self._make_throttle()
        self.dialing = self._make_dialing()
        self.plugins = self._make_plugins()
        self.upgrader = self._make_upgrader()
        self.heart = self._make_heart()
        self.lag = LagMeter()
        self.health = HealthEndpoint(
            config.state_dir, port=config.health.port, ask=lambda: health_of(self)
        )
        self.dispatcher = self._make_dispatcher()

    # --- life --------------------------------------------------------------------

    def parts(self) -> tuple[Part, ...]:
        """Return all parts in the order of their start."""
        return (
            self._job("lag", self.lag.run),
            Part("health", self.health.start, self.health.stop),
            Part("supervisor", self.supervisor.start, self.supervisor.close),
            Part("runs", self.runs.adopt, self.runs.close),
            Part("sampler", self.sampler.start, self.sampler.stop),
            self._job("throttle", self.throttle.run),
            Part("probes", self._start_probes, lambda: asyncio.to_thread(self.dialing.stop)),
            Part(
                "plug-ins",
                lambda: asyncio.to_thread(self.plugins.start),
                lambda: asyncio.to_thread(self.plugins.stop),
            ),
            Part("upgrader", lambda: None, self.upgrader.stop),
            self._job("logs", self.logs.run),
            self._job("link", self.link.run),
            self._job("heart", lambda: self.heart.run(self.link)),
            self._job("system", self.system.run),
        )

    async def start(self) -> None:
        """Start every part in order; what was started is stopped by `stop` also after a failure."""
        for part in self.parts():
            self._started.append(part)
            waiting = part.start()
            if waiting is not None:
                await waiting

    async def stop(self) -> None:
        """Stop what was started in reverse order; running tasks go on."""
        while self._started:
            part = self._started.pop()
            try:
                waiting = part.stop()
                if waiting is not None:
                    await waiting
            except Exception:  # the other parts must be stopped all the same
                logger.exception("%s did not stop cleanly", part.name)

    def _job(self, name: str, run: Callable[[], Awaitable[None]]) -> Part:
        """Return a part that is a coroutine running until it is canceled."""

        def start() -> None:
            job = asyncio.ensure_future(run())
            self._jobs[name] = job
            job.add_done_callback(self._job_ended)

        async def stop() -> None:
            job = self._jobs.pop(name, None)
            if job is not None:
                job.cancel()
                await asyncio.gather(job, return_exceptions=True)

        return Part(name, start, stop)

    def _job_ended(self, job: asyncio.Future[None]) -> None:
        """Have the agent end when one of its loops does: a half agent helps nobody."""
        if not job.cancelled() and not self.failed.done():
            self.failed.set_exception(job.exception() or RuntimeError("a part of the agent ended"))

    async def _start_probes(self) -> None:
        """Start the dial tests; a host that cannot store results still runs its tasks."""
        try:
            await asyncio.to_thread(self.dialing.start)
        except OSError as error:
            logger.error("probes do not run: %s", error)

    def reconfigure(self, config: AgentConfig, policy: Policy) -> None:
        """Use other settings where that touches no running task, and tell the server."""
        self.config, self.policy = config, policy
        self._roots = places_of(policy.roots())
        slots = policy.slots(config.task.max_concurrent_tasks)
        self._capacity = msgspec.structs.replace(self._capacity, slots=slots)
        self.dialing.limit(policy)
        self.plugins.limit(policy)
        self.runs.limit(policy, max_execution_seconds=config.task.max_execution_seconds)
        self.throttle.reconfigure(
            config.resource_adaptive,
            slots=slots,
            bandwidth_mb=config.resource_limit.bandwidth_limit,
        )
        logging.getLogger(__package__).setLevel(config.logging.log_mode)
        # Slots and labels are said at the beginning of a connection.
        self.link.drop("the configuration was reloaded")

    # --- wiring --------------------------------------------------------------------

    def hello(self) -> Hello:
        """Return who this host is and what it holds, for a new connection."""
        return Hello(
            message_id=self.session.next_id(),
            agent_id=self.identity.agent_id,
            instance_id=self.identity.instance_id,
            boot_id=boot_id(),
            version=__version__,
            capacity=self._capacity,
            system=self.system.facts(),
            labels=dict(self.config.labels),
            holds=self.runs.holds(),
            release=self.upgrader.state(),
        )

    def _make_system(self) -> SystemReporter:
        """Return what tells the host's facts, and whether scripts run apart from the agent."""
        return SystemReporter(
            self._resources,
            session=self.session,
            link=self.link,
            collect=lambda used: collect_system_info(used) | {"isolation": self.policy.isolation},
        )

    def _make_link(self) -> Link:
        """Return the connection with the transports that the configuration admits."""
        connection = self.config.connection
        return Link(
            ways=Ways(
                hello=self.hello,
                websocket=self._socket if connection.transport != "polling" else None,
                polling=self._polling if connection.transport != "websocket" else None,
            ),
            backoff=make_backoff(self.config),
            session=self.session,
            on_message=lambda message: self.dispatcher.on_message(message),
            on_lost=lambda: self.dispatcher.on_lost(),
        )

    def _make_logs(self) -> LogShipper:
        """Return what brings the output of tasks to the server."""
        return LogShipper(
            send_chunk=self.link.send_chunk,
            next_id=self.session.next_id,
            on_shipped=lambda key, log_bytes: self.runs.shipped(key, log_bytes),
            on_stored=lambda key: self.runs.log_stored(key),
            max_frames=self.config.logging.log_batch_size,
            flush_seconds=self.config.logging.flush_interval_seconds,
        )

    def _make_dialing(self) -> Dialing:
        """Return the dial tests, held to the host's policy."""
        return Dialing(
            self.config,
            agent_id=self.identity.agent_id,
            endpoint=self._endpoint,
            make_backoff=make_backoff,
            policy=self.policy,
        )

    def _make_plugins(self) -> Plugins:
        """Return the plug-ins, held to the host's policy."""
        return Plugins(
            self.config,
            agent_id=self.identity.agent_id,
            endpoint=self._endpoint,
            make_backoff=make_backoff,
            policy=self.policy,
        )

    def _make_upgrader(self) -> Upgrader:
        """Return what brings this host to the version that the server wants."""
        return Upgrader(
            find_installation(os.environ, sys.prefix),
            endpoint=self._endpoint,
            backoff=make_backoff(self.config),
            policy=lambda: self.policy,
            on_restart=self._on_restart,
            # What a host says of its release is said at the beginning of a connection.
            on_failure=lambda: self.link.drop("there is news about the agent's release"),
        )

    def _make_supervisor(self, login_environment: Mapping[str, str]) -> Supervisor:
        """Return what runs the tasks; a file's task is told what this host allows."""
        return Supervisor(
            state_dir=self.config.state_dir,
            installation=self.identity.installation or None,
            on_change=self._task_changed,
            logger=logging.getLogger("agent_client.tasks"),
            login_environment=login_environment,
            files=lambda: told_to_transfers(
                self.config, roots=self._roots, trust=trust_of(self.config, self.identity)
            ),
        )

    def _make_runs(self) -> Runs:
        """Return the life of tasks, over what books, supervises and ships."""
        return Runs(
            supervisor=self.supervisor,
            ledger=self.ledger,
            session=self.session,
            logs=self.logs,
            reports=RunReports(self.session, flush=self.link.flush),
            policy=self.policy,
            max_execution_seconds=self.config.task.max_execution_seconds,
        )

    def _make_heart(self) -> Heart:
        """Return the heartbeat; it begins in the configured pace."""
        return Heart(
            agent_id=self.identity.agent_id,
            instance_id=self.identity.instance_id,
            interval_seconds=self.config.task.heartbeat_interval,
            holds=self.runs.holds,
            is_busy=lambda: self.runs.running > 0,
            sample=lambda: self.sampler.latest,
            limits=lambda: self.throttle.limits if self.config.resource_adaptive.enabled else None,
            pools=lambda: (self.dialing.thread_pool(), self.dialing.probe_pool()),
            plugins=self.plugins.states,
            next_id=self.session.next_id,
        )

    def _make_throttle(self) -> Throttle:
        """Return what lowers the limits while the host is loaded."""
        return Throttle(
            self.config.resource_adaptive,
            slots=self._capacity.slots,
            bandwidth_mb=self.config.resource_limit.bandwidth_limit,
            cpu_cores=self._capacity.cpu_cores,
            state_dir=self.config.state_dir,
            sample=lambda: self.sampler.latest.resources,
            on_change=lambda limits: self.ledger.allow_slots(limits.slots),
        )

    def _make_dispatcher(self) -> Dispatcher:
        """Return what hands the server's messages to the parts."""
        return Dispatcher(
            session=self.session,
            runs=self.runs,
            logs=self.logs,
            heart=self.heart,
            flush=self.link.flush,
            on_welcome=self._welcomed,
            on_probes=self.dialing.named,
            on_plugins=self.plugins.named,
            on_release=self.upgrader.wanted,
        )

    def _socket(self, server: str) -> Transport:
        return WebSocketTransport(self._endpoint(server))

    def _polling(self, server: str) -> Transport:
        return PollingTransport(self._endpoint(server), make_beat=lambda: self.heart.build())

    def _endpoint(self, server: str) -> Endpoint:
        trust = trust_of(self.config, self.identity)
        return Endpoint(server, self.identity.agent_id, self.identity.agent_token, trust)

    def _task_changed(self, task: LocalTask) -> None:
        """Have a task's processes sampled while it runs, and its state reported."""
        if task.state == "running" and task.identity is not None:
            self.sampler.watch_task(task)
        elif task.state == "finished":
            self.sampler.unwatch(task.key)
        if task.spec.kind != "script":
            self.throttle.count_transfers(self.runs.transfers)
        self.runs.changed(task)

    def _welcomed(self, message: Welcome) -> None:
        """Remember which installation this host belongs to."""
        self.upgrader.welcomed()
        self.sampler.idle_seconds = message.heartbeat_interval
        if message.installation and message.installation != self.identity.installation:
            self.identity = self._state.with_installation(self.identity, message.installation)
