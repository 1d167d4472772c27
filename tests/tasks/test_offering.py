"""Offers: who gets what when, and what happens to those nobody confirms."""

from __future__ import annotations

import pytest

from agents import fleet
from tasks.choices import OFFERED, QUEUED
from tasks.models import Task
from tasks.services import offering
from tasks.services.refusals import Refusals, refusals
from tests.tasks.conftest import fresh

pytestmark = pytest.mark.django_db


def come_back(host) -> None:
    """Bring a host online."""
    type(host.agent).objects.filter(pk=host.agent.pk).update(status="online")
    fleet.clear()


def test_tasks_are_offered_by_priority_then_age(new_host, submit):
    host = new_host(status="offline", slots=3)
    late, old, urgent, older = (submit(priority=number) for number in (5, 3, 1, 3))
    come_back(host)
    assert offering.offer_waiting("default") == 3
    states = [fresh(task).state for task in (urgent, old, older, late)]
    assert states == [OFFERED, OFFERED, OFFERED, QUEUED]


def test_second_pass_offers_nothing_twice(host, submit):
    task = submit()
    assert offering.offer_waiting("default") == 0
    assert fresh(task).offer == 1


def test_tasks_of_another_tenant_are_not_offered(host, submit, other_tenant):
    task = submit(cpu_cores=99)
    Task.objects.filter(pk=task.pk).update(tenant=other_tenant, cpu_cores=0)
    assert offering.offer_everywhere() == 0
    assert offering.offer_waiting("default") == 0


def test_gpus_are_given_by_the_server(new_host, submit):
    gpus = [{"uuid": f"G{n}", "index": n, "memory_total": 24_000} for n in range(2)]
    new_host(gpu_info=gpus)
    first, second = submit(gpu_count=1), submit(gpu_count=1)
    assert (first.gpu_ids, second.gpu_ids) == (["G0"], ["G1"])


def test_housekeeping_offers_what_no_event_announced(new_host, submit):
    host = new_host(status="offline")
    task = submit()
    come_back(host)
    assert offering.offer_everywhere() == 1
    assert fresh(task).state == OFFERED


def test_housekeeping_writes_nothing_when_nothing_fits(host, submit, django_assert_max_num_queries):
    submit(cpu_cores=99)
    with django_assert_max_num_queries(4):
        assert offering.offer_everywhere() == 0


def test_queue_behind_many_that_fit_nowhere_is_reached_by_housekeeping(
    new_host, submit, monkeypatch
):
    monkeypatch.setattr(offering, "CONSIDERED_AT_ONCE", 2)
    host = new_host(status="offline")
    for _ in range(3):
        submit(cpu_cores=99)
    task = submit()
    come_back(host)
    assert offering.offer_waiting("default", considered=2) == 0
    assert offering.offer_everywhere() == 1
    assert fresh(task).state == OFFERED


def test_large_scripts_are_sent_in_several_messages(
    new_host, submit, delivered, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr(offering, "MAX_BATCH_BYTES", 10)
    host = new_host(status="offline")
    for _ in range(3):
        submit(script_content="x" * 6)
    come_back(host)
    with django_capture_on_commit_callbacks(execute=True):
        offering.offer_waiting("default")
    assert [len(message.tasks) for _agent, message in delivered] == [1, 1, 1]


def test_reading_the_queue_costs_few_queries(host, submit, django_assert_max_num_queries):
    for _ in range(30):
        submit(cpu_cores=99)
    # The queue is read twice, once more for the tasks that move files; PostgreSQL also locks.
    with django_assert_max_num_queries(7):
        offering.offer_waiting("default")


def test_expired_offer_rests_before_the_same_host_gets_it_again(host, submit, monkeypatch):
    monkeypatch.setattr(offering, "OFFER_SECONDS", -1)
    task = submit()
    assert offering.withdraw_expired_offers() == 1
    assert offering.offer_waiting("default") == 0
    refusals.clear()
    assert offering.offer_waiting("default") == 1
    assert fresh(task).offer == 2


# --- refusals -----------------------------------------------------------------


def test_pause_doubles_up_to_a_minute():
    pauses = Refusals(clock=lambda: 0.0)
    assert [pauses.note(1, "a") for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_pause_ends():
    now = [0.0]
    pauses = Refusals(clock=lambda: now[0])
    pauses.note(1, "a")
    assert pauses.forbids(1, "a")
    now[0] = 1.0
    assert not pauses.forbids(1, "a")


def test_pause_is_for_the_pair_only():
    pauses = Refusals(clock=lambda: 0.0)
    pauses.note(1, "a")
    assert not pauses.forbids(2, "a")
    assert not pauses.forbids(1, "b")


def test_remembered_pairs_are_bounded(monkeypatch):
    monkeypatch.setattr("tasks.services.refusals.MAX_PAIRS", 3)
    pauses = Refusals(clock=lambda: 0.0)
    for task_id in range(5):
        pauses.note(task_id, "a")
    assert [pauses.forbids(task_id, "a") for task_id in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]
