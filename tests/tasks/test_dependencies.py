"""Dependencies: nothing starts early, a failure travels once, circles are refused."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialer_platform.errors import Invalid
from tasks.choices import BLOCKED, CANCELED, OFFERED, QUEUED, Status
from tasks.models import Task
from tasks.services.cancel import cancel_task
from tasks.services.change import update_task
from tasks.services.dependencies import closes_cycle
from tasks.services.submit import create_task
from tests.tasks.conftest import FIELDS, fresh, result

pytestmark = pytest.mark.django_db


def test_dependent_is_offered_in_the_transaction_that_completes_its_last_dependency(host, submit):
    first, second = host.run(submit()), host.run(submit())
    last = submit(depends_on=[first.pk, second.pk])
    host.finish(first)
    assert fresh(last).state == BLOCKED
    reply = host.finish(second)
    assert fresh(last).state == OFFERED
    assert last.pk in [spec.task_id for spec in reply.tasks]


def test_failure_cancels_the_whole_chain_once(host, submit):
    first = host.run(submit())
    second = submit(depends_on=[first.pk])
    third = submit(depends_on=[second.pk, first.pk])
    host.finish(first, exit_code=1)
    for task in (second, third):
        assert (fresh(task).state, fresh(task).reason) == (CANCELED, "dependency_failed")
        assert task.events.filter(kind="dependency_failed").count() == 1
    assert fresh(third).end_time is not None


def test_cancel_cancels_dependents(submit, principal):
    first = submit()
    second = submit(depends_on=[first.pk])
    cancel_task(first, by=principal)
    assert fresh(second).state == CANCELED


def test_cause_names_the_broken_dependency(host, submit):
    good, bad = host.run(submit()), host.run(submit())
    last = submit(depends_on=[good.pk, bad.pk])
    host.finish(good)
    host.finish(bad, exit_code=2)
    assert fresh(last).reason_detail == f"#{bad.pk}"


def test_canceled_dependent_is_not_revived_when_the_rest_completes(host, submit):
    good, bad = host.run(submit()), host.run(submit())
    last = submit(depends_on=[good.pk, bad.pk])
    host.finish(bad, exit_code=2)
    host.finish(good)
    assert fresh(last).state == CANCELED


def test_both_dependencies_in_one_batch_release_the_task_once(host, submit):
    first, second = host.run(submit()), host.run(submit())
    last = submit(depends_on=[first.pk, second.pk])
    host.say(result(first), result(second))
    assert last.events.filter(kind="unblocked").count() == 1


def test_circle_is_refused_and_nothing_changes(submit, principal):
    first = submit()
    second = submit(depends_on=[first.pk])
    third = submit(depends_on=[second.pk])
    with pytest.raises(Invalid) as error:
        update_task(first, by=principal, fields={"depends_on": [third.pk]})
    assert list(error.value.fields) == ["depends_on"]
    assert fresh(first).state == QUEUED
    assert not first.dependency_edges.exists()


def test_task_cannot_depend_on_itself(submit, principal):
    task = submit()
    with pytest.raises(Invalid) as error:
        update_task(task, by=principal, fields={"depends_on": [task.pk]})
    assert "itself" in error.value.fields["depends_on"][0]


def test_diamond_is_no_circle(submit):
    top = submit()
    left, right = submit(depends_on=[top.pk]), submit(depends_on=[top.pk])
    assert submit(depends_on=[left.pk, right.pk]).state == BLOCKED


def test_removed_dependency_releases_the_task(host, submit, principal):
    first = submit()
    second = submit(depends_on=[first.pk])
    update_task(second, by=principal, fields={"depends_on": []})
    assert fresh(second).state == OFFERED


def test_added_dependency_blocks_a_waiting_task(submit, principal):
    first, second = submit(), submit()
    update_task(second, by=principal, fields={"depends_on": [first.pk]})
    assert fresh(second).state == BLOCKED


def test_added_broken_dependency_cancels_the_task_and_its_dependents(submit, principal):
    broken, task = submit(), submit()
    dependent = submit(depends_on=[task.pk])
    cancel_task(broken, by=principal)
    update_task(task, by=principal, fields={"depends_on": [broken.pk]})
    assert fresh(task).state == CANCELED
    assert fresh(dependent).state == CANCELED


@pytest.fixture
def roomy_host(new_host):
    """Return a host that never runs full: examples share it and some end half-way."""
    return new_host(slots=100_000)


GRAPHS = st.lists(st.sets(st.integers(0, 14), max_size=4), min_size=1, max_size=15).map(
    lambda rows: [{other for other in row if other < number} for number, row in enumerate(rows)]
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(graph=GRAPHS, data=st.data())
def test_random_graph_ends_with_exactly_one_state_each(
    roomy_host, principal, delivered, graph, data
):
    """Ends offered tasks in any order and with any outcome until nothing is left."""
    ids: list[int] = []
    for row in graph:
        fields = {**FIELDS, "depends_on": [ids[other] for other in row]}
        ids.append(create_task(principal=principal, fields=fields).pk)
    while offered := list(Task.objects.filter(pk__in=ids, phase="offered")):
        task = data.draw(st.sampled_from(offered))
        parents = task.depends_on.values_list("status", flat=True)
        assert all(status == Status.COMPLETED for status in parents)
        roomy_host.run(task)
        roomy_host.finish(task, exit_code=data.draw(st.sampled_from([0, 0, 1])))
    ended = dict(Task.objects.filter(pk__in=ids).values_list("pk", "status"))
    for number, row in enumerate(graph):
        broken = any(ended[ids[other]] != Status.COMPLETED for other in row)
        assert (ended[ids[number]] == Status.CANCELED) == broken


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(graph=GRAPHS, data=st.data())
def test_cycle_is_found_exactly_when_there_is_one(principal, delivered, graph, data):
    ids: list[int] = []
    for row in graph:
        fields = {**FIELDS, "depends_on": [ids[other] for other in row]}
        ids.append(create_task(principal=principal, fields=fields).pk)
    task = data.draw(st.integers(0, len(ids) - 1))
    wanted = data.draw(st.sets(st.integers(0, len(ids) - 1), max_size=3))
    reachable, frontier = set(wanted), set(wanted)
    while frontier:
        frontier = {other for one in frontier for other in graph[one]} - reachable
        reachable |= frontier
    assert closes_cycle(ids[task], [ids[one] for one in wanted]) == (task in reachable)
