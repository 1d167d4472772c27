"""Real threads on a real database: one effect however many try at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, connections

from agents import fleet
from agents.models import Agent
from agents.reply import Reply
from dialer_platform.accounts.models import Tenant, User
from dialer_platform.accounts.principal import Principal, principal_for
from dialer_platform.errors import Conflict
from tasks.choices import FINAL
from tasks.models import Task
from tasks.services.cancel import cancel_task
from tasks.services.offering import offer_waiting
from tasks.services.submit import create_task
from tests.tasks.conftest import FIELDS, FakeHost, fresh

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 8


@pytest.fixture
def person(delivered) -> Principal:
    """Return an administrator; a transactional test starts with an empty database."""
    Tenant.objects.get_or_create(id="default", defaults={"name": "Default"})
    return principal_for(User.objects.create_superuser("root", password="x"))


@pytest.fixture
def box(person) -> FakeHost:
    """Return an online host with eight slots."""
    agent = Agent.objects.create(
        name="box",
        tenant_id="default",
        status="online",
        cpu_cores=8,
        slots=8,
        script_types=["shell"],
    )
    fleet.clear()
    return FakeHost(agent)


def submitted(person: Principal, **fields: object) -> Task:
    """Submit a task and return it as it is stored after its offer."""
    return fresh(create_task(principal=person, fields={**FIELDS, **fields}))


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Run the calls in threads that start together; returns results and errors."""
    gate = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def work(number: int) -> None:
        try:
            gate.wait()
            results[number] = calls[number]()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture(autouse=True)
def _needs_a_database_that_threads_share():
    """In memory, SQLite locks whole tables between threads: nothing to learn from that."""
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("the test database is in memory")


def test_same_key_sent_at_once_gives_one_task(person):
    results = at_once(
        *[lambda: create_task(principal=person, fields=FIELDS, idempotency_key="k1")] * THREADS
    )
    assert len({task.pk for task in results}) == 1
    assert Task.objects.count() == 1


def test_task_is_offered_once_when_many_offer(person, box):
    task = submitted(person, cpu_cores=99)
    Task.objects.update(cpu_cores=0)
    at_once(*[lambda: offer_waiting("default")] * THREADS)
    assert (fresh(task).offer, fresh(task).phase) == (1, "offered")


def test_host_is_never_over_committed_by_submissions_at_once(person, box):
    calls = [lambda: create_task(principal=person, fields={**FIELDS, "cpu_cores": 3})] * THREADS
    at_once(*calls)
    booked = Task.objects.occupying().values_list("cpu_cores", flat=True)
    assert sum(booked) == 6


@pytest.mark.parametrize("exit_code", [0, 1])
def test_cancel_and_result_at_once_give_one_end(person, box, exit_code):
    task = box.run(submitted(person))
    cancels = [lambda: cancel_task(task, by=person)] * 3
    results = at_once(*cancels, lambda: box.finish(task, exit_code=exit_code))
    unexpected = [one for one in results if isinstance(one, Exception)]
    assert all(isinstance(one, Conflict) for one in unexpected)
    assert fresh(task).status in FINAL
    assert task.events.filter(kind__in=FINAL).count() == 1


def test_two_dependencies_that_end_at_once_release_their_dependent_once(person, box):
    first, second = box.run(submitted(person)), box.run(submitted(person))
    last = submitted(person, depends_on=[first.pk, second.pk])
    replies = at_once(lambda: box.finish(first), lambda: box.finish(second))
    assert all(isinstance(reply, Reply) for reply in replies), replies
    assert fresh(last).phase == "offered"
    assert last.events.filter(kind="unblocked").count() == 1
