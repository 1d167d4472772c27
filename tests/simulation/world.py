"""Hosts, a server and the wire between them, and what must hold whatever happens to them."""

from __future__ import annotations

from collections.abc import Callable

from agent_client.protocol.messages import (
    Accepted,
    Hello,
    Message,
    QueuedMessage,
    Refused,
    Result,
    ServerMessage,
    Started,
)
from agent_client.protocol.session import Session
from tasks.matching import Host as Room
from tests.simulation.host import WINDOW_MESSAGES, Host
from tests.simulation.ledger import Ledger
from tests.simulation.model_server import UNDER_WAY, ModelServer, Row, ServerCrash
from tests.simulation.network import HANG_UP, Network, Packet

HEAL_ROUNDS = 180
"""Seconds after which everything must be settled once nothing is broken any more."""
MAX_KINDS = 5
"""Kinds of queued messages about one offer: accepted, refused, started, result, flagged."""
FLEET = {"a": (2, 2, False), "b": (1, 1, True)}
"""Name: slots, cores, whether it polls."""


class World:
    """Everything there is, and its clock."""

    def __init__(self, make_server=ModelServer) -> None:
        self.now = 1_000.0
        self.ledger = Ledger()
        self.network = Network()
        self.hosts = {name: self._make_host(name, *facts) for name, facts in FLEET.items()}
        rooms = [
            Room(name, name, cpu_cores=cores, slots=slots)
            for name, (slots, cores, _) in FLEET.items()
        ]
        self.server = make_server(clock=lambda: self.now, say=self._say, rooms=rooms)
        self.ends: dict[int, tuple[str, str, int | None]] = {}
        self.keeps_down = False
        """Whether what the server has said arrives when it crashes."""
        self._connections = 0

    def _make_host(self, name: str, slots: int, cpu_cores: int, is_polling: bool) -> Host:
        return Host(
            name,
            slots=slots,
            cpu_cores=cpu_cores,
            is_polling=is_polling,
            ledger=self.ledger,
            network=self.network,
            clock=lambda: self.now,
            on_confirmed=self._check_confirmed,
        )

    # --- what happens ---

    def submit(self, cpu_cores: int) -> None:
        self._serve(lambda: self.server.submit(cpu_cores))

    def cancel(self, task_id: int) -> None:
        self._serve(lambda: self.server.cancel(task_id))

    def connect(self, host: Host) -> None:
        self._connections += 1
        host.connect(self._connections)

    def cut(self, host: Host, *, keeps_up: bool, is_noticed: bool) -> None:
        """Break a connection; the host may notice now, or by the silence later."""
        self.network.cut(host.name, keeps_up=keeps_up)
        if is_noticed:
            host.disconnect()

    def crash_host(self, host: Host) -> None:
        self.network.cut(host.name, keeps_up=True)
        host.crash()

    def crash_server(self, *, keeps_down: bool) -> None:
        """End the server by kill -9; what it had said may still arrive, and then the end."""
        self.server.crash()
        self.keeps_down = keeps_down
        self._drop_connections()

    def deliver(self, index: int) -> None:
        """Bring one packet to its end of the wire."""
        if not self.network.packets:
            return
        packet = self.network.take(index)
        host = self.hosts[packet.host]
        if not packet.is_up:
            self._hear(packet, host)
        elif self.server.is_up:
            self._serve(lambda: self._bring(packet, host))

    def _hear(self, packet: Packet, host: Host) -> None:
        """Let a host have what the server said, or see the end of its connection."""
        if packet.message is not HANG_UP:
            host.receive(packet.connection, [packet.message])
        elif packet.connection == host.connection:
            host.disconnect()

    def flow(self, count: int) -> None:
        """Bring so many packets to their ends in the order in which they were sent."""
        while count and self.network.packets:
            self.deliver(0)
            count -= 1

    def suffer(self, fate: str) -> None:
        """Let something become of the packet that is next."""
        if not self.network.packets:
            return
        if fate == "is lost":
            self.network.drop(0)
        elif fate == "is late":
            self.network.packets.append(self.network.take(0))
        else:
            self.server.is_busy = fate == "is put off"
            if fate == "is doubled":
                self.network.double(0)
            self.deliver(0)
            self.server.is_busy = False

    def work(self, host: Host) -> None:
        """Let a host's sub-agents and its agent do what they have to do."""
        while host.disk.forks:
            host.disk.claim_next()
        host.look()
        self.connect(host)
        host.beat()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        if self.server.is_up:
            self._serve(self.server.tick)
        for host in self.hosts.values():
            host.mind_silence()

    def calm_round(self, *, ends: bool = False) -> None:
        """Let everything that is alive do its work for a second, with nothing lost."""
        for host in self.hosts.values():
            self.work(host)
            if ends:
                for entry in host.disk.supervised():
                    host.disk.exit(entry, 0, self.now)
        self.flow(300)
        self.pass_time(1.0)

    def heal(self) -> None:
        """Repair everything and wait until all is settled; it must not need a hand."""
        self.server.crash_point = ""
        self.server.start()
        for host in self.hosts.values():
            host.disk.mend()
            host.start()
        self._wait(self._are_cancels_done, ends=False)
        assert self._are_cancels_done(), f"a cancel is not heard: {[*self.server.rows.values()]}"
        self._wait(self.is_settled, ends=True)
        self._check_settled()

    def _wait(self, is_done: Callable[[], bool], *, ends: bool) -> None:
        """Let calm rounds pass until something is so, as many as it may take."""
        for _ in range(HEAL_ROUNDS):
            if is_done():
                break
            self.calm_round(ends=ends)
            self.check()

    def _are_cancels_done(self) -> bool:
        """Return whether no cancel is under way: no script must end by itself for that."""
        return all(row.phase != "canceling" for row in self.server.rows.values())

    def is_settled(self) -> bool:
        """Return whether every task has its end and no host holds anything any more."""
        is_over = all(row.phase == "ended" for row in self.server.rows.values())
        return is_over and not any(host.disk.entries for host in self.hosts.values())

    def close(self) -> None:
        for host in self.hosts.values():
            host.crash()
            host.disk.close()

    def _bring(self, packet: Packet, host: Host) -> None:
        """Let the server have one message, and see that a stale one changes nothing."""
        message = packet.message
        before = self._stale_row(packet)
        if isinstance(message, Hello):
            self.server.greet(host.name, packet.connection, message, is_polling=host.is_polling)
        elif packet.connection in self.server.memory.greeted:
            self.server.receive(host.name, packet.connection, message)
        else:
            self.hang_up(host.name, packet.connection)
        if before is not None:
            after = self.server.rows[before.task_id]
            is_offered = before.phase == "queued" and after.phase == "offered"
            assert is_offered or after == before, f"stale {message} changed {before} to {after}"

    def _stale_row(self, packet: Packet) -> Row | None:
        """Return a copy of the row that a stale message is about, None for any other."""
        message = packet.message
        row = self.server.rows.get(getattr(message, "task_id", 0))
        if row is None or (row.agent_id, row.offer) == (packet.host, message.offer):
            return None
        return Row(**vars(row))

    def _serve(self, work) -> None:
        if not self.server.is_up:
            return
        try:
            work()
        except ServerCrash:
            self._drop_connections()

    def _drop_connections(self) -> None:
        """End all connections with the server's process."""
        for host in self.hosts.values():
            self.network.cut(host.name, keeps_up=False, keeps_down=self.keeps_down)
            if not self.keeps_down:
                host.disconnect()
            elif host.connection:
                self.hang_up(host.name, host.connection)

    def hang_up(self, host: str, connection: int) -> None:
        """Let the host see the end of a connection, behind what was said on it."""
        self.network.send(Packet(host, connection, HANG_UP, is_up=False))

    def _say(self, host: str, connection: int, messages: list[ServerMessage]) -> None:
        for message in messages:
            self.network.send(Packet(host, connection, message, is_up=False))

    # --- what must hold ---

    def check(self) -> None:
        """Check what must hold at every moment."""
        for task_id, starts in self.ledger.starts.items():
            assert len(starts) <= 1, f"task {task_id} started {len(starts)} times"
        for row in self.server.rows.values():
            self._check_end(row)
            self._check_log(row)
        for host in self.hosts.values():
            self._check_room(host)

    def _check_end(self, row: Row) -> None:
        """A final state never changes, and after it none of the task's processes is alive."""
        if row.phase == "ended":
            end = (row.final, row.reason, row.exit_code)
            assert self.ends.setdefault(row.task_id, end) == end, f"{row} had ended otherwise"
            process = self.ledger.only(row.task_id)
            is_lost = row.reason in ("agent_lost", "supervisor_lost", "host_reboot")
            if process is not None and process.is_alive:
                assert is_lost or row.task_id in self.ledger.excused, f"{row} has a process"
        else:
            assert row.task_id not in self.ends, f"{row} had ended"

    def _check_log(self, row: Row) -> None:
        """What is stored is what was written, from its first byte on."""
        stored = self.server.logs.get(row.task_id, b"")
        process = self.ledger.only(row.task_id)
        written = process.written if process else b""
        assert written.startswith(stored), f"{row}: other bytes are stored than were written"

    def _check_room(self, host: Host) -> None:
        """No host ever has more than it has room for, by any of the three books."""
        books = {
            "processes": self.ledger.alive(host.name),
            "bookings": host.held(),
            "rows": [row for row in self.server.occupying() if row.agent_id == host.name],
        }
        for name, booked in books.items():
            cores = sum(one.cpu_cores for one in booked)
            assert len(booked) <= host.slots, f"{host.name}: {len(booked)} {name}"
            assert cores <= host.cpu_cores, f"{host.name}: {cores} cores of {name}"
        if host.agent is not None:
            self._check_bounds(host.agent.session)
            booked_cores = host.agent.bookings.cpu_cores_booked
            assert booked_cores == sum(one.cpu_cores for one in books["bookings"])

    def _check_bounds(self, session: Session) -> None:
        """What an agent keeps for the server follows its tasks, and its window is kept."""
        offers = sum(row.offer for row in self.server.rows.values())
        assert session.waiting + session.unconfirmed <= MAX_KINDS * offers
        assert session.unconfirmed <= WINDOW_MESSAGES

    def _check_confirmed(self, host: str, message: QueuedMessage) -> None:
        """What the server has confirmed must be in its table."""
        row = self.server.rows.get(getattr(message, "task_id", 0))
        if row is None or (row.agent_id, row.offer) != (host, message.offer):
            return
        impossible: dict[type[Message], tuple[str, ...]] = {
            Accepted: ("queued", "offered"),
            Refused: ("queued", "offered"),
            Started: ("queued", "offered", "starting"),
            Result: ("queued", "offered", *UNDER_WAY),
        }
        lost = impossible.get(type(message), ())
        assert row.phase not in lost, f"{message} was confirmed and is lost: {row}"

    def _check_settled(self) -> None:
        """After the healing every task has the end that the ledger knows, and all its bytes."""
        held = {name: list(host.disk.entries) for name, host in self.hosts.items()}
        assert self.is_settled(), f"stuck: {[*self.server.rows.values()]}, held: {held}"
        for row in self.server.rows.values():
            self._check_story(row)

    def _check_story(self, row: Row) -> None:
        process = self.ledger.only(row.task_id)
        is_excused = row.task_id in self.ledger.excused
        if process is not None:
            assert not process.is_alive, f"{row} has a process"
            if row.task_id not in self.ledger.wiped:
                stored = self.server.logs.get(row.task_id, b"")
                assert stored == process.written, f"{row}: {len(stored)} bytes of the log"
        if row.reason == "exit":
            assert process is not None, f"{row} never ran"
            assert (process.end, process.exit_code) == ("exit", row.exit_code), f"{row}"
            assert row.final == ("completed" if row.exit_code == 0 else "failed")
        elif row.reason == "user_cancel":
            assert row.final == "canceled"
            assert row.is_cancel_wanted, f"{row} was not to be canceled"
            is_stopped = process is None or process.end == "user_cancel"
            assert is_stopped or is_excused, f"{row}: {process}"
        elif row.reason == "supervisor_lost":
            assert is_excused, f"{row} was lost for no reason"
        elif row.reason == "host_reboot":
            assert row.task_id in self.ledger.rebooted, f"{row} was on no host that restarted"
        else:
            assert row.reason == "agent_lost", f"{row}"
