"""A server in memory that decides by the product's own tables and matches by its matcher.

Its rows and logs are what a database would keep; everything else is lost in a crash. One
`receive` is one transaction: a crash before the commit leaves no trace of it, a crash
after it leaves only the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field

from agent_client.protocol import frames
from agent_client.protocol.messages import (
    Accepted,
    CancelOrder,
    Desired,
    Heartbeat,
    Hello,
    Hold,
    LogChunk,
    Message,
    Refused,
    Result,
    ServerMessage,
    Started,
    TaskSpec,
    Welcome,
)
from agent_client.protocol.reconcile import is_canceled_by_loss, judge_absence, judge_hold
from agent_client.protocol.record import (
    UNDER_WAY,
    Phase,
    Record,
    Step,
    on_accepted,
    on_refused,
    on_result,
    on_started,
)
from agents.inbox import SlowDown
from agents.reply import Reply, next_message_id
from tasks.matching import Booking, Need, match
from tasks.matching import Host as Room
from tasks.services.refusals import Refusals

OFFER_SECONDS = 30.0
REPEAT_OFFER_SECONDS = 3.0
MISSING_SECONDS = 10.0
RECONCILE_SECONDS = 30.0
OFFLINE_SECONDS = 10.0
LOST_SECONDS = 90.0
GRACE_SECONDS = 60.0

Say = Callable[[str, int, Sequence[ServerMessage]], None]


class ServerCrash(Exception):
    """The server ended here, before or after its commit."""


@dataclass
class Row:
    """A task as the table has it."""

    task_id: int
    cpu_cores: int
    phase: Phase = "queued"
    final: str = ""
    reason: str = ""
    exit_code: int | None = None
    offer: int = 0
    agent_id: str = ""
    offered_at: float = 0.0
    has_started: bool = False
    log_bytes: int = 0
    is_cancel_wanted: bool = False


@dataclass
class Memory:
    """What a crash of the server loses."""

    started_at: float
    refusals: Refusals
    connections: dict[str, int] = field(default_factory=dict)
    greeted: set[int] = field(default_factory=set)
    """Connections that began with a hello to this process."""
    polling: set[str] = field(default_factory=set)
    seen_at: dict[str, float] = field(default_factory=dict)
    reconciled_at: dict[str, float] = field(default_factory=dict)
    holds: dict[str, tuple[Hold, ...]] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    missing: dict[tuple[int, int], float] = field(default_factory=dict)
    tails: dict[int, tuple[str, int, int]] = field(default_factory=dict)


class ModelServer:
    """The queue's server side; `say` puts messages on a host's connection."""

    def __init__(self, *, clock: Callable[[], float], say: Say, rooms: Sequence[Room]) -> None:
        self._clock = clock
        self._say = say
        self._rooms = rooms
        self._seen: dict[str, float] = {}
        self.rows: dict[int, Row] = {}
        self.logs: dict[int, bytearray] = {}
        self.memory = self._new_memory()
        self.crash_point = ""
        """`before` or `after` the next commit."""
        self.is_up = True
        self.is_busy = False
        """Whether it asks to repeat messages later, as with a full queue."""

    # --- life ---

    def crash(self) -> None:
        """End by kill -9."""
        self.is_up, self.crash_point = False, ""

    def start(self) -> None:
        """Come back with what the database has."""
        if not self.is_up:
            self.is_up, self.memory = True, self._new_memory()

    def _new_memory(self) -> Memory:
        return Memory(self._clock(), Refusals(clock=self._clock))

    # --- people ---

    def submit(self, cpu_cores: int) -> int:
        """Take a task and return its id."""
        row = Row(len(self.rows) + 1, cpu_cores)
        with_row = {**self.rows, row.task_id: row}

        def work(replies: dict[str, Reply]) -> None:
            self.rows = with_row
            self._offer_waiting(replies)

        self._transaction(work)
        return row.task_id

    def cancel(self, task_id: int) -> None:
        """Ask for the end of a task."""

        def work(replies: dict[str, Reply]) -> None:
            row = self.rows[task_id]
            if row.phase in ("ended", "canceling"):
                return
            row.is_cancel_wanted = True
            reply = replies.setdefault(row.agent_id, Reply())
            if row.phase in UNDER_WAY:
                row.phase = "canceling"
                order = CancelOrder(task_id=task_id, offer=row.offer)
                reply.cancel(order)
                return
            if row.phase == "offered":
                reply.revoke(task_id, row.offer)
            self._end(row, "canceled", "user_cancel")
            self._offer_waiting(replies)

        self._transaction(work)

    # --- hosts ---

    def greet(self, host: str, connection: int, hello: Hello, *, is_polling: bool) -> None:
        """Take a host's new connection, welcome it and tell it what is wanted."""
        memory = self.memory
        memory.connections[host] = connection
        memory.greeted.add(connection)
        (memory.polling.add if is_polling else memory.polling.discard)(host)
        welcome = Welcome(
            message_id=next_message_id(),
            epoch=connection,
            heartbeat_interval=2.0,
            installation="sim",
            server_time=0.0,
        )
        self._say(host, connection, [welcome])
        self.receive(host, connection, hello)

    def receive(self, host: str, connection: int, message: Message) -> None:
        """Store one message and answer on the connection that brought it."""
        reply = Reply()
        if self.is_busy and not isinstance(message, Hello | Heartbeat):
            reply.error(message.message_id, SlowDown.code, "")
            self._say(host, connection, reply.to_messages())
            return
        if isinstance(message, LogChunk):
            self._store_chunk(host, message, reply)
            self._say(host, connection, reply.to_messages())
            return
        is_beat = isinstance(message, Heartbeat | Hello)
        if is_beat:
            self._seen[host] = self.memory.seen_at[host] = self._clock()
            if isinstance(message, Heartbeat):
                reply.ack(message.message_id)
            if not self._is_due(host, message):
                self._say(host, connection, reply.to_messages())
                return

        def work(replies: dict[str, Reply]) -> None:
            replies[host] = reply
            if is_beat:
                is_new = isinstance(message, Hello)
                self._reconcile(host, message.holds, reply, replies, is_new=is_new)
            else:
                self._handle(host, message, reply, replies)
                reply.ack(message.message_id)

        self._transaction(work, answers={host: connection})

    def tick(self) -> None:
        """Do what housekeeping does."""

        def work(replies: dict[str, Reply]) -> None:
            now = self._clock()
            for row in self.rows.values():
                if self._has_expired(row):
                    self.memory.refusals.note(row.task_id, row.agent_id)
                    self._withdraw(row)
                is_silent = now - self._seen.get(row.agent_id, 0.0) > LOST_SECONDS
                is_grown = now - self.memory.started_at > GRACE_SECONDS
                if row.phase in UNDER_WAY and is_silent and is_grown:
                    self._end(row, "failed", "agent_lost")
            self._offer_waiting(replies)

        self._transaction(work)

    def _has_expired(self, row: Row) -> bool:
        return row.phase == "offered" and self._clock() - row.offered_at > OFFER_SECONDS

    # --- messages about tasks ---

    def _handle(self, host: str, message: Message, reply: Reply, replies: dict[str, Reply]) -> None:
        """Let the table decide about one message and do what it says."""
        row = self.rows.get(message.task_id)
        record = self._record(row, host, message.offer)
        if isinstance(message, Accepted):
            self._on_accepted(message, row, record, reply)
        elif isinstance(message, Refused):
            if on_refused(record) is Step.WITHDRAW:
                self.memory.refusals.note(row.task_id, host)
                self._withdraw(row)
                self._offer_waiting(replies)
        elif isinstance(message, Started):
            step = on_started(record)
            if step is not Step.NOTHING:
                row.has_started = True
            if step is Step.NOTE_RUNNING:
                row.phase = "running"
        elif isinstance(message, Result):
            self._on_result(message, row, record, reply, replies)

    def _on_accepted(
        self, message: Accepted, row: Row | None, record: Record | None, reply: Reply
    ) -> None:
        step = on_accepted(record)
        if row is None or step is Step.REVOKE:
            reply.revoke(message.task_id, message.offer)
        elif step is Step.CANCEL:
            reply.cancel(CancelOrder(task_id=row.task_id, offer=row.offer))
        elif step in (Step.COMMIT, Step.GO):
            reply.go(row.task_id, row.offer)
            if step is Step.COMMIT:
                row.phase = "starting"

    def _on_result(
        self,
        message: Result,
        row: Row | None,
        record: Record | None,
        reply: Reply,
        replies: dict[str, Reply],
    ) -> None:
        step = on_result(record)
        if row is None or step is Step.NOTHING:
            return
        if step is Step.FORGET:
            reply.want(Desired(task_id=message.task_id, offer=message.offer, want="forget"))
            return
        if step is Step.END:
            canceled = message.reason == "user_cancel"
            completed = message.reason == "exit" and message.exit_code == 0
            row.exit_code, row.log_bytes = message.exit_code, message.log_bytes
            final = "canceled" if canceled else "completed" if completed else "failed"
            self._end(row, final, message.reason)
            self._offer_waiting(replies)
        self._release(row, reply, message.log_bytes)

    # --- agreement ---

    def _is_due(self, host: str, message: Heartbeat | Hello) -> bool:
        memory = self.memory
        since = self._clock() - memory.reconciled_at.get(host, float("-inf"))
        is_due = (
            isinstance(message, Hello)
            or message.holds is not None
            or host in memory.dirty
            or since >= RECONCILE_SECONDS
        )
        if is_due:
            memory.dirty.discard(host)
            memory.reconciled_at[host] = self._clock()
        return is_due

    def _reconcile(
        self,
        host: str,
        listed: tuple[Hold, ...] | None,
        reply: Reply,
        replies: dict[str, Reply],
        *,
        is_new: bool,
    ) -> None:
        """Compare what the host holds with the table and say what follows."""
        if listed is not None:
            self.memory.holds[host] = listed
        holds = self.memory.holds.get(host, ()) if listed is None else listed
        for hold in holds:
            self._judge_hold(host, hold, reply)
        held = {hold.task_id for hold in holds}
        for row in self.rows.values():
            if row.agent_id == host and row.task_id not in held:
                is_late = self._clock() - row.offered_at > REPEAT_OFFER_SECONDS
                is_unheard = is_new or is_late or host in self.memory.polling
                self._judge_absence(
                    host, row, reply, is_full_list=listed is not None, is_unheard=is_unheard
                )
        self._offer_waiting(replies)

    def _judge_hold(self, host: str, hold: Hold, reply: Reply) -> None:
        row = self.rows.get(hold.task_id)
        record = self._record(row, host, hold.offer)
        verdict = judge_hold(record, hold.state)
        if row is None or record is None:
            return
        if record.is_own:
            self.memory.missing.pop((row.task_id, row.offer), None)
        wants = {Step.CANCEL: "cancel", Step.REVOKE: "revoke", Step.FORGET: "forget"}
        want = wants.get(verdict.step)
        if verdict.step in (Step.COMMIT, Step.RUN):
            want = "run"
            if verdict.step is Step.COMMIT:
                row.phase = "starting"
        if want:
            wish = Desired(task_id=row.task_id, offer=hold.offer, want=want, reason=verdict.reason)
            reply.want(wish)
        elif verdict.step is Step.RELEASE:
            self._release(row, reply, row.log_bytes)
        elif verdict.step is Step.COMPARE_LOG and hold.log_bytes:
            stored = len(self.logs.get(row.task_id, b""))
            if stored != hold.log_bytes:
                reply.log_next(row.task_id, row.offer, stored)

    def _judge_absence(
        self, host: str, row: Row, reply: Reply, *, is_full_list: bool, is_unheard: bool
    ) -> None:
        record = self._record(row, host, row.offer)
        step = judge_absence(record, is_full_list=is_full_list, is_unheard=is_unheard)
        if step is Step.OFFER:
            reply.offer(self._spec(row))
        elif step is Step.RUN:
            reply.want(Desired(task_id=row.task_id, offer=row.offer, want="run"))
        elif step is Step.MISS:
            since = self.memory.missing.setdefault((row.task_id, row.offer), self._clock())
            if self._clock() - since >= MISSING_SECONDS:
                canceled = is_canceled_by_loss(record)
                final = ("canceled", "user_cancel") if canceled else ("failed", "supervisor_lost")
                self._end(row, *final)

    # --- logs ---

    def _store_chunk(self, host: str, chunk: LogChunk, reply: Reply) -> None:
        """Append what is new of a chunk, at its offset only."""
        row = self.rows.get(chunk.task_id)
        if row is None or row.agent_id != host:
            reply.error(chunk.message_id, "not_found", "")
        elif row.offer != chunk.offer:
            reply.error(chunk.message_id, "stale_offer", "")
        elif row.phase not in (*UNDER_WAY, "ended"):
            reply.error(chunk.message_id, "not_started", "")
        else:
            log = self.logs.setdefault(chunk.task_id, bytearray())
            data = b"".join(frame.payload for frame in frames.decode(chunk.frames))
            if chunk.offset <= len(log):
                self._append(log, chunk.offset, data)
                reply.ack(chunk.message_id)
            reply.log_next(chunk.task_id, chunk.offer, len(log))
            self._let_forget(chunk.task_id, len(log))

    def _append(self, log: bytearray, offset: int, data: bytes) -> None:
        log += data[len(log) - offset :]

    def _release(self, row: Row, reply: Reply, log_bytes: int) -> None:
        stored = len(self.logs.get(row.task_id, b""))
        if stored >= log_bytes:
            reply.want(Desired(task_id=row.task_id, offer=row.offer, want="forget"))
        else:
            reply.log_next(row.task_id, row.offer, stored)
            self.memory.tails[row.task_id] = (row.agent_id, row.offer, log_bytes)

    def _let_forget(self, task_id: int, stored: int) -> None:
        host, offer, log_bytes = self.memory.tails.get(task_id, ("", 0, 0))
        if host and stored >= log_bytes:
            del self.memory.tails[task_id]
            reply = Reply()
            reply.want(Desired(task_id=task_id, offer=offer, want="forget"))
            self._deliver(host, reply)

    # --- offers ---

    def _offer_waiting(self, replies: dict[str, Reply]) -> None:
        """Give waiting tasks to hosts with room, by the product's matcher."""
        now, seen = self._clock(), self.memory.seen_at
        online = [
            room for room in self._rooms if now - seen.get(room.agent_id, -99.0) < OFFLINE_SECONDS
        ]
        needs = [
            Need(row.task_id, cpu_cores=row.cpu_cores)
            for row in self.rows.values()
            if row.phase == "queued"
        ]
        bookings = [Booking(row.agent_id, row.cpu_cores) for row in self.occupying()]
        for grant in match(needs, online, bookings, avoid=self.memory.refusals.forbids):
            row = self.rows[grant.task_id]
            row.phase, row.agent_id, row.offered_at = "offered", grant.agent_id, now
            row.offer += 1
            replies.setdefault(row.agent_id, Reply()).offer(self._spec(row))

    def occupying(self) -> Iterator[Row]:
        """Return the tasks that book room of their host."""
        return (row for row in self.rows.values() if row.phase in ("offered", *UNDER_WAY))

    def _withdraw(self, row: Row) -> None:
        row.phase, row.agent_id = "queued", ""

    def _spec(self, row: Row) -> TaskSpec:
        return TaskSpec(
            task_id=row.task_id,
            offer=row.offer,
            installation="sim",
            name="",
            script_type="shell",
            script_content="",
            cpu_cores=row.cpu_cores,
        )

    def _end(self, row: Row, final: str, reason: str) -> None:
        row.phase, row.final, row.reason = "ended", final, reason
        self.memory.missing.pop((row.task_id, row.offer), None)

    def _record(self, row: Row | None, host: str, offer: int) -> Record | None:
        if row is None:
            return None
        is_own = row.agent_id == host and row.offer == offer
        return Record(row.phase, is_own, row.has_started, row.reason == "agent_lost")

    # --- transactions and delivery ---

    def _transaction(
        self,
        work: Callable[[dict[str, Reply]], None],
        *,
        answers: dict[str, int] | None = None,
    ) -> None:
        """Commit all or nothing, then answer and deliver; raises ServerCrash where armed."""
        saved = {task_id: copy(row) for task_id, row in self.rows.items()}
        replies: dict[str, Reply] = {}
        work(replies)
        self._commit(saved, replies, answers or {})

    def _commit(
        self, saved: dict[int, Row], replies: dict[str, Reply], answers: dict[str, int]
    ) -> None:
        point, self.crash_point = self.crash_point, ""
        if point == "before":
            self.rows = saved
        if point:
            self.crash()
            raise ServerCrash(point)
        self._answer(replies, answers)

    def _answer(self, replies: dict[str, Reply], answers: dict[str, int]) -> None:
        for host, reply in replies.items():
            if host in answers:
                self._say(host, answers[host], reply.to_messages())
            else:
                self._deliver(host, reply)

    def _deliver(self, host: str, reply: Reply) -> None:
        """Send to a host's socket, else have its next beat reconciled."""
        messages = reply.to_messages()
        if not messages:
            return
        connection = self.memory.connections.get(host)
        if connection and host not in self.memory.polling:
            self._say(host, connection, messages)
        else:
            self.memory.dirty.add(host)
