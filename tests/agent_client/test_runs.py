"""Each step of a task's life has its effect once, however often it is repeated."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent_client.booking import Ledger
from agent_client.policy import Policy
from agent_client.protocol.messages import (
    Accepted,
    CancelOrder,
    Desired,
    Flagged,
    Refused,
    Result,
    Started,
    TaskRef,
    TaskSpec,
)
from agent_client.protocol.session import Session
from agent_client.run_reports import RunReports
from agent_client.runs import Runs
from agent_client.sub_agent.records import FileSystem
from agent_client.tasks.identity import ProcessIdentity
from agent_client.tasks.supervisor import LocalTask
from agent_client.tasks.taskdir import ExitRecord, TaskDirectory
from tests.agent_client.fake_server import spec

KEY = (1, 1)
REF = TaskRef(task_id=1, offer=1)


class FakeSupervisor:
    """Holds tasks in memory; a test moves them on."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], LocalTask] = {}
        self.launched: list[tuple[tuple[int, int], tuple[int, ...], tuple[str, ...]]] = []
        self.stopped: list[tuple[tuple[int, int], str, float]] = []
        self.failure: Exception | None = None

    def tasks(self) -> dict[tuple[int, int], LocalTask]:
        return self.held

    def accept(self, offered: TaskSpec) -> LocalTask:
        if self.failure:
            raise self.failure
        directory = TaskDirectory(Path("/nowhere/x"), file_system=FileSystem())
        task = LocalTask((offered.task_id, offered.offer), offered, directory)
        self.held[task.key] = task
        return task

    async def launch(self, key, *, cpu_ids: Sequence[int], gpu_ids: Sequence[str]) -> None:
        self.held[key].state = "claimed"
        self.launched.append((key, tuple(cpu_ids), tuple(gpu_ids)))

    def stop_task(self, key, *, reason: str, grace_seconds: float) -> None:
        self.stopped.append((key, reason, grace_seconds))

    def forget(self, key) -> None:
        if self.held[key].state in ("claimed", "running"):
            raise ValueError("it runs")
        del self.held[key]


class FakeLogs:
    """Remembers what it was asked to follow; `complete` are logs the server has."""

    def __init__(self) -> None:
        self.followed: dict[tuple[int, int], bool] = {}
        self.finished: list[tuple[int, int]] = []
        self.complete: set[tuple[int, int]] = set()
        self.offsets: list[tuple[tuple[int, int], int]] = []

    def follow(self, key, path: Path, *, is_new: bool) -> None:
        self.followed.setdefault(key, is_new)

    def finish(self, key) -> None:
        self.finished.append(key)

    def drop(self, key) -> None:
        self.followed.pop(key, None)

    def is_stored(self, key) -> bool:
        return key in self.complete

    def log_bytes(self, key) -> int:
        return 7

    def stored(self, key, offset: int) -> None:
        self.offsets.append((key, offset))


class World:
    """One host's runs with everything around them faked."""

    def __init__(self, **limits: float) -> None:
        self.supervisor = FakeSupervisor()
        self.logs = FakeLogs()
        self.session = Session(prefix="m")
        self.ledger = Ledger(
            cpu_ids=(0, 1), slots=2, gpu_memory_mb={"GPU-1": 100}, script_types=("shell",)
        )
        self.runs = Runs(
            supervisor=self.supervisor,
            ledger=self.ledger,
            session=self.session,
            logs=self.logs,
            reports=RunReports(self.session, flush=lambda: None, wall_clock=lambda: 5.0),
            **limits,
        )

    @property
    def task(self) -> LocalTask:
        return self.supervisor.held[KEY]

    def said(self) -> list[object]:
        """Return the messages since the last call, confirming them."""
        messages = self.session.take()
        self.session.confirm(message.message_id for message in messages)
        return messages

    def kinds(self) -> list[type]:
        return [type(message) for message in self.said()]

    async def start(self, **wanted: object) -> None:
        """Bring task 1 to `running` and forget what was said."""
        self.runs.offers([spec(1, **wanted)])
        self.runs.go([REF])
        await self.runs.close()
        self.move("running")
        self.said()

    def move(self, state: str, reason: str = "exit") -> None:
        """Move task 1 on as the supervisor does."""
        self.task.state = state
        if state == "running":
            self.task.identity = ProcessIdentity(2**22 + 1, 1, "boot")
            self.task.started_at = 3.0
        elif state == "finished":
            self.task.exit = ExitRecord(reason=reason, finished_at=9.0, exit_code=0, log_bytes=7)
        self.runs.changed(self.task)


@pytest.fixture
def world() -> World:
    return World()


# --- offers -------------------------------------------------------------------------


def test_offer_is_booked_stored_and_accepted_when_it_fits(world):
    world.runs.offers([spec(1, cpu_cores=1)])
    assert world.kinds() == [Accepted]
    assert world.task.state == "accepted"
    assert world.ledger.cpu_cores_booked == 1
    assert world.supervisor.launched == []


def test_offer_is_accepted_again_when_it_is_repeated(world):
    for _ in range(2):
        world.runs.offers([spec(1, cpu_cores=1)])
        assert world.kinds() == [Accepted]
    assert world.ledger.cpu_cores_booked == 1


async def test_offer_says_nothing_new_when_the_task_runs_already(world):
    await world.start()
    world.runs.offers([spec(1)])
    assert world.kinds() == []


def test_offer_is_refused_when_it_does_not_fit(world):
    world.runs.offers([spec(1, cpu_cores=3)])
    (message,) = world.said()
    assert isinstance(message, Refused)
    assert message.code == "no_free_cores"
    assert world.supervisor.held == {}


def test_offer_is_refused_by_a_host_whose_policy_allows_no_scripts():
    world = World(policy=Policy(work=("probes",)))
    world.runs.offers([spec(1)])
    (message,) = world.said()
    assert (type(message), message.code) == (Refused, "policy_denied")
    assert world.supervisor.held == {}


@pytest.mark.parametrize(
    ("changes", "is_taken"),
    [
        ({}, False),
        ({"run_as": "nobody"}, True),
        ({"kind": "file_upload"}, True),
        ({"kind": "file_upload", "run_as": "root"}, False),
    ],
)
def test_agent_of_root_keeps_tasks_from_root_where_others_are_listed(changes, is_taken):
    world = World(policy=Policy(run_as=("nobody",)))
    world.runs.offers([spec(1, **changes)])
    assert bool(world.supervisor.held) is is_taken


@pytest.mark.parametrize(
    ("failure", "code"), [(OSError(28, "full"), "disk_full"), (ValueError("x"), "offer_invalid")]
)
def test_offer_is_refused_when_it_cannot_be_stored(world, failure, code):
    world.supervisor.failure = failure
    world.runs.offers([spec(1, cpu_cores=1)])
    assert world.said()[0].code == code
    assert (world.ledger.slots_booked, world.ledger.cpu_cores_booked) == (0, 0)


@pytest.mark.parametrize(("asked", "given"), [(None, 60.0), (100.0, 60.0), (30.0, 30.0)])
def test_time_limit_of_the_host_holds_when_it_is_lower(asked, given):
    world = World(max_execution_seconds=60.0)
    world.runs.offers([spec(1, timeout_seconds=asked)])
    assert world.task.spec.timeout_seconds == given


# --- go --------------------------------------------------------------------------------


async def test_task_starts_with_its_booking_when_go_comes(world):
    world.runs.offers([spec(1, cpu_cores=2, gpu_ids=("GPU-1",))])
    world.runs.go([REF])
    await world.runs.close()
    assert world.supervisor.launched == [(KEY, (0, 1), ("GPU-1",))]


async def test_task_starts_once_when_go_is_repeated(world):
    world.runs.offers([spec(1)])
    world.runs.go([REF, REF])
    await world.runs.close()
    world.runs.go([REF])
    await world.runs.close()
    assert len(world.supervisor.launched) == 1


async def test_nothing_starts_when_go_is_for_an_unknown_offer(world):
    world.runs.offers([spec(1)])
    world.runs.go([TaskRef(task_id=1, offer=2)])
    await world.runs.close()
    assert world.supervisor.launched == []


async def test_started_is_said_once_when_the_supervisor_repeats_itself(world):
    world.runs.offers([spec(1)])
    world.runs.go([REF])
    await world.runs.close()
    world.said()
    world.move("running")
    (message,) = world.said()
    assert isinstance(message, Started)
    assert (message.started_at, message.boot_id) == (3.0, "boot")
    world.runs.changed(world.task)
    assert world.kinds() == []


async def test_new_log_begins_at_zero_when_task_was_started_here(world):
    await world.start()
    assert world.logs.followed == {KEY: True}


# --- end -------------------------------------------------------------------------------


async def test_result_waits_when_the_log_is_not_out(world):
    await world.start()
    world.move("finished")
    assert world.kinds() == []
    assert world.logs.finished == [KEY]
    world.runs.shipped(KEY, 7)
    (message,) = world.said()
    assert isinstance(message, Result)
    assert (message.reason, message.exit_code, message.log_bytes) == ("exit", 0, 7)


async def test_booking_is_free_when_the_task_has_ended(world):
    await world.start(cpu_cores=2)
    world.move("finished")
    assert (world.ledger.slots_booked, world.ledger.cpu_cores_booked) == (0, 0)


async def test_unkillable_is_flagged_and_stays_booked_when_processes_survive(world):
    await world.start(cpu_cores=2)
    world.task.unkillable = True
    world.runs.changed(world.task)
    world.runs.changed(world.task)
    assert world.kinds() == [Flagged]
    assert world.ledger.cpu_cores_booked == 2


# --- forget ------------------------------------------------------------------------------


async def test_task_is_deleted_when_server_forgets_and_has_the_log(world):
    await world.start()
    world.move("finished")
    world.logs.complete.add(KEY)
    world.runs.forget([REF])
    assert world.supervisor.held == {}
    assert world.logs.followed == {}


async def test_task_is_kept_until_its_log_is_stored_when_forget_comes_early(world):
    await world.start()
    world.move("finished")
    world.runs.forget([REF])
    assert KEY in world.supervisor.held
    world.logs.complete.add(KEY)
    world.runs.log_stored(KEY)
    assert world.supervisor.held == {}


async def test_task_is_kept_when_its_log_is_stored_but_nobody_forgot_it(world):
    await world.start()
    world.move("finished")
    world.runs.log_stored(KEY)
    assert KEY in world.supervisor.held


async def test_running_task_is_kept_when_server_forgets(world):
    await world.start()
    world.runs.forget([REF])
    assert KEY in world.supervisor.held


async def test_messages_of_a_task_are_dropped_when_it_is_forgotten(world):
    await world.start()
    world.move("finished")
    world.runs.shipped(KEY, 7)
    world.logs.complete.add(KEY)
    world.runs.forget([REF])
    assert world.kinds() == []


# --- revoke and cancel ---------------------------------------------------------------------


def test_offer_is_let_go_when_it_is_revoked(world):
    world.runs.offers([spec(1, cpu_cores=2)])
    world.runs.revoked([REF, TaskRef(task_id=9, offer=1)])
    assert world.supervisor.held == {}
    assert world.ledger.slots_booked == 0
    assert world.kinds() == []


async def test_nothing_starts_when_go_follows_the_revocation(world):
    world.runs.offers([spec(1)])
    world.runs.revoked([REF])
    world.runs.go([REF])
    await world.runs.close()
    assert world.supervisor.launched == []


async def test_running_task_is_stopped_then_deleted_when_it_is_revoked(world):
    await world.start()
    world.runs.revoked([REF])
    assert world.supervisor.stopped == [(KEY, "agent_lost", 10.0)]
    world.move("finished")
    world.runs.log_stored(KEY)
    assert world.supervisor.held == {}


@pytest.mark.parametrize(("asked", "given"), [(None, 4.0), (1.0, 1.0)])
async def test_running_task_is_stopped_when_it_is_canceled(world, asked, given):
    await world.start(grace_seconds=4.0)
    world.runs.cancel([CancelOrder(task_id=1, offer=1, grace_seconds=asked)])
    assert world.supervisor.stopped == [(KEY, "user_cancel", given)]


async def test_accepted_task_ends_unstarted_when_it_is_canceled(world):
    world.runs.offers([spec(1, cpu_cores=2)])
    world.said()
    world.runs.cancel([CancelOrder(task_id=1, offer=1)])
    (message,) = world.said()
    assert (message.reason, message.exit_code, message.finished_at) == ("user_cancel", None, 5.0)
    world.runs.go([REF])
    await world.runs.close()
    assert (world.supervisor.launched, world.ledger.slots_booked) == ([], 0)


async def test_nothing_starts_when_cancel_comes_in_the_same_breath_as_go(world):
    world.runs.offers([spec(1)])
    world.said()
    world.runs.go([REF])
    world.runs.cancel([CancelOrder(task_id=1, offer=1)])
    await world.runs.close()
    assert (world.supervisor.launched, world.supervisor.stopped) == ([], [])
    assert world.said()[0].reason == "user_cancel"


async def test_nothing_starts_when_revocation_comes_in_the_same_breath_as_go(world):
    world.runs.offers([spec(1)])
    world.runs.go([REF])
    world.runs.revoked([REF])
    await world.runs.close()
    assert (world.supervisor.launched, world.supervisor.held) == ([], {})


async def test_finished_task_is_left_alone_when_it_is_canceled(world):
    await world.start()
    world.move("finished")
    world.runs.cancel([CancelOrder(task_id=1, offer=1), CancelOrder(task_id=9, offer=1)])
    assert world.supervisor.stopped == []


# --- reconcile --------------------------------------------------------------------------------


def wish(want: str, **more: object) -> Desired:
    return Desired(task_id=1, offer=1, want=want, **more)


async def test_accepted_task_starts_when_run_is_wanted(world):
    world.runs.offers([spec(1)])
    world.runs.reconcile([wish("run", spec=spec(1))])
    await world.runs.close()
    assert len(world.supervisor.launched) == 1


async def test_loss_is_reported_when_run_is_wanted_of_an_unknown_task(world):
    world.runs.reconcile([wish("run", spec=spec(1))])
    await world.runs.close()
    (message,) = world.said()
    assert message.reason == "supervisor_lost"
    assert world.supervisor.launched == []


async def test_nothing_is_lost_when_run_is_wanted_of_a_forgotten_task(world):
    await world.start()
    world.move("finished")
    world.logs.complete.add(KEY)
    world.runs.forget([REF])
    world.runs.reconcile([wish("run", spec=spec(1))])
    assert world.kinds() == []


async def test_wishes_are_carried_out_when_they_differ(world):
    await world.start()
    world.runs.reconcile([wish("cancel", grace_seconds=2.0, log_next=5)])
    assert world.supervisor.stopped == [(KEY, "user_cancel", 2.0)]
    assert world.logs.offsets == [(KEY, 5)]
    world.move("finished")
    world.logs.complete.add(KEY)
    world.runs.reconcile([wish("forget")])
    assert world.supervisor.held == {}


def test_offer_is_let_go_when_revocation_is_wanted(world):
    world.runs.offers([spec(1)])
    world.runs.reconcile([wish("revoke")])
    assert world.supervisor.held == {}


# --- adoption ------------------------------------------------------------------------------------


def test_accepted_offer_is_said_again_when_adopted(world):
    world.supervisor.accept(spec(1, cpu_cores=1))
    world.runs.adopt()
    assert world.kinds() == [Accepted]
    assert world.ledger.slots_booked == 1


def test_script_keeps_its_cores_when_another_task_is_adopted_first(world, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    world.supervisor.accept(spec(1, cpu_cores=1))
    running = world.supervisor.accept(spec(2, cpu_cores=1))
    running.identity = ProcessIdentity(2**22 + 1, 1, "boot")
    world.runs.adopt()
    assert [world.ledger.get(key).cpu_ids for key in (KEY, (2, 1))] == [(1,), (0,)]


def test_guessed_cores_are_corrected_when_the_adopted_script_runs(world, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1}, raising=False)
    world.supervisor.accept(spec(1, cpu_cores=1))
    world.runs.adopt()
    assert world.ledger.get(KEY).cpu_ids == (0,)
    world.move("running")
    assert world.ledger.get(KEY).cpu_ids == (1,)


def test_log_of_adopted_task_asks_the_server_when_it_runs(world):
    world.supervisor.accept(spec(1))
    world.move("running")
    assert world.logs.followed == {KEY: False}
    assert world.kinds() == [Started]
    assert world.ledger.slots_booked == 1


def test_result_of_adopted_task_is_said_again_when_it_has_ended(world):
    world.supervisor.accept(spec(1))
    world.move("finished")
    world.runs.adopt()
    world.runs.shipped(KEY, 7)
    assert world.kinds() == [Result]
    assert world.ledger.slots_booked == 0


def test_holds_say_what_is_there_when_asked(world):
    world.runs.offers([spec(1)])
    (hold,) = world.runs.holds()
    assert (hold.task_id, hold.offer, hold.state, hold.log_bytes) == (1, 1, "accepted", 7)
    assert world.runs.running == 0


async def test_memory_is_bounded_when_many_offers_come_and_go(world, monkeypatch):
    monkeypatch.setattr("agent_client.runs.MAX_REMEMBERED", 10)
    for number in range(50):
        world.runs.offers([spec(number)])
        world.runs.revoked([TaskRef(task_id=number, offer=1)])
    assert len(world.runs._gone) == 10
    assert not world.runs._said


async def test_a_defect_in_the_start_is_logged_when_it_happens(world, caplog):
    async def broken(key, **_: object) -> None:
        raise RuntimeError("broken")

    world.supervisor.launch = broken
    world.runs.offers([spec(1)])
    world.runs.go([REF])
    await world.runs.close()
    await asyncio.sleep(0)
    assert "could not be started" in caplog.text


async def test_nothing_starts_twice_when_old_copies_of_offer_and_go_come_late(world):
    await world.start()
    world.move("finished")
    world.logs.complete.add(KEY)
    world.runs.forget([REF])
    world.runs.offers([spec(1)])
    world.runs.go([REF])
    await world.runs.close()
    assert (len(world.supervisor.launched), world.supervisor.held, world.kinds()) == (1, {}, [])
