"""The mover: the table of moves is obeyed, and of two racing callers one wins."""

from __future__ import annotations

import itertools

import pytest

from tasks.choices import ALLOWED_MOVES, CANCELED, OFFERED, QUEUED, STARTING
from tasks.models import Task
from tasks.services.moves import ForbiddenMove, Move, Raced, move, move_all
from tests.tasks.conftest import fresh

pytestmark = pytest.mark.django_db

PAIRS = list(itertools.product(ALLOWED_MOVES, ALLOWED_MOVES))


def put(task: Task, state: tuple[str, str]) -> Task:
    """Put a task into a state without asking anybody."""
    Task.objects.filter(pk=task.pk).update(status=state[0], phase=state[1])
    return fresh(task)


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_move_follows_the_table(submit, before, after):
    task = put(submit(), before)
    if after in ALLOWED_MOVES[before]:
        assert move(task, to=after, kind="moved")
        assert fresh(task).state == after
    else:
        with pytest.raises(ForbiddenMove):
            move(task, to=after, kind="moved")
        assert fresh(task).state == before


def test_second_of_two_racing_moves_loses_and_writes_nothing(submit):
    first = submit()
    second = fresh(first)
    assert move(first, to=OFFERED, kind="offered", changes={"offer": 1})
    assert not move(second, to=CANCELED, kind="canceled")
    assert fresh(first).state == OFFERED
    assert not first.events.filter(kind="canceled").exists()


def test_move_of_an_older_offer_loses(submit):
    task = put(submit(), OFFERED)
    stale = fresh(task)
    Task.objects.filter(pk=task.pk).update(offer=2)
    assert not move(stale, to=STARTING, kind="accepted")


def test_batch_is_written_whole_or_raises(submit):
    first, second = submit(), submit()
    stale = fresh(second)
    move(second, to=CANCELED, kind="canceled")
    with pytest.raises(Raced):
        move_all([Move(first, OFFERED, "offered"), Move(stale, OFFERED, "offered")])


def test_object_in_memory_shows_what_was_written(submit):
    task = submit()
    move(task, to=OFFERED, kind="offered", changes={"offer": 1, "gpu_ids": ["G1"]})
    stored = fresh(task)
    assert (task.state, task.offer, task.version) == (stored.state, stored.offer, stored.version)
    assert stored.gpu_ids == ["G1"]


def test_every_move_leaves_an_event_with_actor_and_detail(submit):
    task = submit()
    move(task, to=OFFERED, kind="offered", actor="alice", detail={"why": "test"})
    event = task.events.last()
    assert (event.kind, event.actor, event.detail) == ("offered", "alice", {"why": "test"})


def test_batch_of_a_hundred_costs_few_statements(submit, django_assert_max_num_queries):
    tasks = [submit() for _ in range(100)]
    with django_assert_max_num_queries(4):
        move_all([Move(task, CANCELED, "canceled") for task in tasks])


def test_watchers_are_told_after_the_commit(
    submit, monkeypatch, django_capture_on_commit_callbacks
):
    told = []
    monkeypatch.setattr(
        "tasks.events.live.publish", lambda topic, *, tenant_id: told.append((topic, tenant_id))
    )
    task = submit()
    with django_capture_on_commit_callbacks(execute=True):
        move(task, to=CANCELED, kind="canceled")
        assert told == []
    assert told == [(f"task.{task.pk}", "default"), ("tasks", "default")]


def test_states_without_a_way_out_are_the_final_ones():
    assert {QUEUED} <= {state for state, ways in ALLOWED_MOVES.items() if ways}
    assert {state[0] for state, ways in ALLOWED_MOVES.items() if not ways} == {
        "completed",
        "failed",
        "canceled",
    }
