"""Defects that are put in on purpose: a simulation that does not find them proves nothing.

Each is a context: within it the product, or the model of its server, is wrong in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from unittest import mock

from agent_client import runs
from agent_client.protocol.reconcile import Action, action_for
from agent_client.protocol.session import Session
from tests.simulation import model_server
from tests.simulation.model_server import ModelServer
from tests.simulation.world import World

Mutant = Callable[[], AbstractContextManager[Callable[[], World]]]
MUTANTS: dict[str, Mutant] = {}


def mutant(function: Callable[[], Iterator[Callable[[], World]]]) -> Mutant:
    """Add a defect; it yields what makes the world that has it."""
    made = contextmanager(function)
    MUTANTS[function.__name__] = made
    return made


def world_of(server: type[ModelServer]) -> Callable[[], World]:
    """Return what makes a world with another server."""
    return lambda: World(make_server=server)


@mutant
def server_acknowledges_before_its_commit() -> Iterator[Callable[[], World]]:
    """What was said before the crash is about what the crash took back."""

    class Server(ModelServer):
        def _commit(self, saved, replies, answers):
            self._answer(replies, answers)
            super()._commit(saved, {}, answers)

    yield world_of(Server)


@mutant
def session_repeats_nothing() -> Iterator[Callable[[], World]]:
    """What was in the air when a connection broke is forgotten."""

    def disconnected(session: Session) -> None:
        session.confirm(list(session._in_air))

    with (
        mock.patch.object(Session, "disconnected", disconnected),
        mock.patch.object(Session, "repeat_unheard", lambda session: False),
    ):
        yield World


@mutant
def timer_offers_a_started_task_again() -> Iterator[Callable[[], World]]:
    """Silence after `go` is taken for an offer that nobody confirmed."""

    class Server(ModelServer):
        def _has_expired(self, row):
            is_old = self._clock() - row.offered_at > model_server.OFFER_SECONDS
            return is_old and row.phase in ("offered", "starting")

    yield world_of(Server)


@mutant
def log_is_appended_wherever_it_comes_from() -> Iterator[Callable[[], World]]:
    """A chunk that comes twice is stored twice."""

    class Server(ModelServer):
        def _append(self, log, offset, data):
            log += data

    yield world_of(Server)


@mutant
def go_is_said_to_any_offer() -> Iterator[Callable[[], World]]:
    """A confirmation of an offer that is void is taken for one of the offer that counts."""

    class Server(ModelServer):
        def _on_accepted(self, message, row, record, reply):
            record = record and record._replace(is_own=True)
            super()._on_accepted(message, row, record, reply)
            if row is not None and message.offer != row.offer:
                reply.go(row.task_id, message.offer)

    yield world_of(Server)


@mutant
def result_is_written_over_the_end() -> Iterator[Callable[[], World]]:
    """A result that comes after the end decides anew."""

    class Server(ModelServer):
        def _record(self, row, host, offer):
            record = super()._record(row, host, offer)
            is_over = record is not None and record.phase == "ended"
            return record._replace(phase="running") if is_over else record

    yield world_of(Server)


@mutant
def agent_forgets_before_the_log_is_stored() -> Iterator[Callable[[], World]]:
    """An agent forgets a task whose log the server does not have yet."""

    def hasty(order, local):
        action = action_for(order, local)
        return Action.LET_GO if action is Action.LET_GO_WHEN_STORED else action

    with mock.patch.object(runs, "action_for", hasty):
        yield World
