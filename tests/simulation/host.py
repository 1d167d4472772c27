"""One simulated host: the agent's real parts over a simulated disk, and its sub-agents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from agent_client.booking import Ledger as Bookings
from agent_client.dispatch import Dispatcher
from agent_client.heartbeat import MIN_SILENCE_SECONDS, Heart
from agent_client.protocol.messages import (
    Ack,
    Capacity,
    Hello,
    QueuedMessage,
    ServerMessage,
    TaskRef,
    Welcome,
)
from agent_client.protocol.session import Session
from agent_client.run_reports import RunReports
from agent_client.runs import Runs
from agent_client.sampler import HostSample
from tests.simulation.disk import Crash, Disk
from tests.simulation.ledger import Ledger
from tests.simulation.log_pump import LogPump
from tests.simulation.network import Network, Packet
from tests.simulation.supervisor import SimSupervisor

T = TypeVar("T")
WINDOW_MESSAGES = 2
WINDOW_BYTES = 200
"""So small that a few tasks meet the bounds of the window."""
LOOP = asyncio.new_event_loop()
"""Never runs by itself: one turn for each thing that happens to an agent."""


class Agent:
    """One life of an agent's process: everything in here is lost with it."""

    def __init__(self, host: Host, life: int) -> None:
        self.session = Session(
            prefix=f"{host.name}{life}", max_messages=WINDOW_MESSAGES, max_bytes=WINDOW_BYTES
        )
        self.bookings = Bookings(
            cpu_ids=range(host.cpu_cores),
            slots=host.slots,
            gpu_memory_mb={},
            script_types=("shell",),
        )
        self.supervisor = SimSupervisor(host.disk, host.clock)
        self.logs = LogPump(
            clock=host.clock,
            next_id=self.session.next_id,
            on_shipped=lambda key, size: self.runs.shipped(key, size),
            on_stored=lambda key: self.runs.log_stored(key),
        )
        self.runs = Runs(
            supervisor=self.supervisor,
            ledger=self.bookings,
            session=self.session,
            logs=self.logs,
            reports=RunReports(self.session, flush=lambda: None, wall_clock=host.clock),
        )
        self.supervisor.on_change = self.runs.changed
        self.heart = Heart(
            agent_id=host.name,
            instance_id=f"{host.name}{life}",
            interval_seconds=2.0,
            holds=self.runs.holds,
            is_busy=lambda: False,
            sample=HostSample,
            next_id=self.session.next_id,
            clock=host.clock,
        )
        self.dispatcher = Dispatcher(
            session=self.session,
            runs=self.runs,
            logs=self.logs,
            heart=self.heart,
            flush=lambda: None,
            on_welcome=lambda welcome: None,
        )


class Host:
    """A machine with a disk; its agent may be there or not."""

    def __init__(
        self,
        name: str,
        *,
        slots: int,
        cpu_cores: int,
        is_polling: bool,
        ledger: Ledger,
        network: Network,
        clock: Callable[[], float],
        on_confirmed: Callable[[str, QueuedMessage], None],
    ) -> None:
        self.name = name
        self.slots = slots
        self.cpu_cores = cpu_cores
        self.is_polling = is_polling
        self.ledger = ledger
        self.clock = clock
        self.disk = Disk(name, ledger)
        self.agent: Agent | None = None
        self.connection = 0
        self.is_ready = False
        self.life = 0
        self._heard_at = 0.0
        self._network = network
        self._on_confirmed = on_confirmed

    # --- the agent's process ---

    def start(self) -> None:
        """Start the agent: it adopts what it finds."""
        if self.agent is not None:
            return
        self.life += 1
        self.disk.mend()
        agent = self.agent = Agent(self, self.life)

        def adopt() -> None:
            agent.supervisor.adopt()
            agent.runs.adopt()

        self._do(adopt)

    def crash(self) -> None:
        """End the agent by kill -9."""
        if self.agent is not None:
            self.agent.logs.close()
        self.agent = None
        self.connection, self.is_ready = 0, False

    def connect(self, connection: int) -> None:
        """Open a new connection, if there is none."""
        if self.agent is None or self.connection:
            return
        self.connection, self._heard_at = connection, self.clock()
        hello = Hello(
            message_id=self.agent.session.next_id(),
            agent_id=self.name,
            instance_id=str(self.life),
            boot_id=str(self.disk.boot),
            version="0",
            capacity=Capacity(cpu_cores=self.cpu_cores, memory_bytes=0, slots=self.slots),
            holds=self.agent.runs.holds(),
        )
        self._send(hello)

    def disconnect(self) -> None:
        """Notice that the connection is gone."""
        if self.agent is None or not self.connection:
            return
        agent = self.agent
        self.connection, self.is_ready = 0, False

        def lose() -> None:
            agent.session.disconnected()
            agent.dispatcher.on_lost()

        self._do(lose)

    # --- what happens to it ---

    def receive(self, connection: int, messages: list[ServerMessage]) -> None:
        """Act on what the server says, unless it comes from a connection that was left."""
        agent = self.agent
        if agent is None or connection != self.connection:
            return

        def act() -> None:
            for message in messages:
                if isinstance(message, Welcome):
                    self.is_ready = True
                elif isinstance(message, Ack):
                    self._heard_at = self.clock()
                    for confirmed in agent.session.confirm(message.message_ids):
                        self._on_confirmed(self.name, confirmed)
                agent.dispatcher.on_message(message)

        self._do(act)
        self.flush()

    def beat(self) -> None:
        """Send a sign of life."""
        if self.agent is not None and self.is_ready:
            self._send(self.agent.heart.build())

    def look(self) -> None:
        """Let the agent see what its sub-agents did, and ship and say what follows."""
        if self.agent is None:
            return
        self._do(self.agent.supervisor.look)
        self.ship()
        self.flush()

    def ship(self) -> None:
        """Send a chunk of every log that has one."""
        if self.agent is not None and self.is_ready:
            for chunk in self._do(self.agent.logs.chunks) or ():
                self._send(chunk)

    def flush(self) -> None:
        """Send what the session lets go."""
        if self.agent is not None and self.is_ready:
            for message in self.agent.session.take():
                self._send(message)

    def mind_silence(self) -> None:
        """Leave a connection on which nobody answers."""
        if self.connection and self.clock() - self._heard_at > MIN_SILENCE_SECONDS:
            self._network.cut(self.name, keeps_up=True)
            self.disconnect()

    def held(self) -> list[TaskRef]:
        """Return the offers that count against the host's room."""
        if self.agent is None:
            return []
        return [
            task.spec
            for key, task in self.agent.supervisor.tasks().items()
            if task.state != "finished" and self.agent.bookings.get(key) is not None
        ]

    def _send(self, message) -> None:
        self._network.send(Packet(self.name, self.connection, message, is_up=True))

    def _do(self, action: Callable[[], T]) -> T | None:
        """Let the agent do one thing to its end; it may crash in the middle."""
        results: list[T] = []
        failures: list[BaseException] = []

        def turn() -> None:
            try:
                results.append(action())
            except BaseException as error:  # noqa: BLE001 - a crash must not end the loop
                failures.append(error)

        LOOP.call_soon(turn)
        for _ in range(3):  # the thing itself, the starts it began, what follows from them
            LOOP.call_soon(LOOP.stop)
            LOOP.run_forever()
        if self.disk.is_dead:
            self.crash()
            return None
        if failures and not isinstance(failures[0], Crash):
            raise failures[0]
        return results[0] if results else None
