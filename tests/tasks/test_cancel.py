"""Cancel: at once before the start, an order afterwards, one end in every race."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_client.protocol.messages import CancelTasksBatch, Revoked
from dialer_platform.accounts.models import AuditEvent
from dialer_platform.errors import Conflict, Invalid, NotFound
from tasks.choices import CANCELED, CANCELING, FINAL, OFFERED
from tasks.models import Task
from tasks.services.cancel import cancel_task, cancel_tasks
from tasks.services.submit import create_task
from tests.tasks.conftest import FIELDS, fresh

pytestmark = pytest.mark.django_db


def test_waiting_task_is_canceled_at_once(submit, principal):
    task = cancel_task(submit(), by=principal)
    assert (task.state, task.reason) == (CANCELED, "user_cancel")
    assert (task.cancel_requested_by, task.end_time is not None) == (principal.name, True)


def test_blocked_task_is_canceled_at_once(submit, principal):
    task = submit(depends_on=[submit().pk])
    assert cancel_task(task, by=principal).state == CANCELED


def test_offered_task_is_canceled_and_its_offer_revoked(
    host, submit, principal, delivered, django_capture_on_commit_callbacks
):
    task = submit()
    with django_capture_on_commit_callbacks(execute=True):
        cancel_task(task, by=principal)
    assert fresh(task).state == CANCELED
    ((agent_id, message),) = delivered
    assert (agent_id, type(message)) == (host.agent.pk, Revoked)


def test_slot_of_a_canceled_offer_goes_to_the_next_task(new_host, submit, principal):
    new_host(slots=1)
    first, second = submit(), submit()
    cancel_task(first, by=principal)
    assert fresh(second).state == OFFERED


def test_running_task_is_ordered_to_stop(
    host, submit, principal, delivered, django_capture_on_commit_callbacks
):
    task = host.run(submit())
    with django_capture_on_commit_callbacks(execute=True):
        cancel_task(task, by=principal)
    assert fresh(task).state == CANCELING
    ((agent_id, message),) = delivered
    assert (agent_id, type(message)) == (host.agent.pk, CancelTasksBatch)
    assert [(order.task_id, order.reason) for order in message.tasks] == [(task.pk, "user_cancel")]


def test_second_cancel_while_stopping_is_harmless(host, submit, principal):
    task = host.run(submit())
    cancel_task(task, by=principal)
    assert cancel_task(task, by=principal).state == CANCELING
    assert task.events.filter(kind="cancel_requested").count() == 1
    assert AuditEvent.objects.filter(action="task.cancel").count() == 1


def test_ended_task_is_a_conflict(host, submit, principal):
    task = host.run(submit())
    host.finish(task)
    with pytest.raises(Conflict) as error:
        cancel_task(task, by=principal)
    assert error.value.code == "task_ended"


def test_cancel_by_a_command_is_recorded_by_its_name(submit):
    assert cancel_task(submit(), by="command line").cancel_requested_by == "command line"


def test_batch_cancels_what_has_not_ended(host, submit, principal):
    done, running, waiting = host.run(submit()), host.run(submit()), submit(agent_id="")
    host.finish(done)
    cancel_tasks([done.pk, running.pk, waiting.pk], by=principal)
    states = [fresh(task).status for task in (done, running, waiting)]
    assert states == ["completed", "running", "canceled"]
    assert fresh(running).state == CANCELING


def test_batch_with_an_unknown_id_changes_nothing(submit, principal):
    task = submit()
    with pytest.raises(NotFound):
        cancel_tasks([task.pk, 999_999], by=principal)
    assert fresh(task).status == "waiting"


@pytest.mark.parametrize("ids", [None, "1", {"1": 1}, ["1"], [True], list(range(1_001))])
def test_batch_that_is_no_list_of_ids_is_refused(principal, ids):
    with pytest.raises(Invalid) as error:
        cancel_tasks(ids, by=principal)
    assert list(error.value.fields) == ["ids"]


def test_batch_sends_one_order_to_each_host(
    host, submit, principal, delivered, django_capture_on_commit_callbacks
):
    tasks = [host.run(submit()) for _ in range(3)]
    with django_capture_on_commit_callbacks(execute=True):
        cancel_tasks([task.pk for task in tasks], by=principal)
    assert len(delivered) == 1


STEPS = ["accept", "start", "finish", "user_cancel", "cancel", "refuse"]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=10))
def test_any_order_of_messages_and_cancels_gives_one_end(new_host, principal, delivered, steps):
    """Whatever comes when and however often, a final state is reached once and never left."""
    host = new_host(slots=100)
    task = create_task(principal=principal, fields={**FIELDS, "agent_id": host.agent.pk})
    ends = []
    for step in steps:
        now = fresh(task)
        if step == "cancel" and now.status not in FINAL:
            cancel_task(now, by=principal)
        elif step == "user_cancel":
            host.finish(now, reason="user_cancel", exit_code=None, signal=15)
        elif step != "cancel":
            getattr(host, step)(now)
        after = fresh(task)
        if after.status in FINAL:
            ends.append((after.status, after.reason, after.exit_code))
    assert len(set(ends)) <= 1
    final_events = Task.objects.get(pk=task.pk).events.filter(kind__in=FINAL)
    assert final_events.count() == (1 if ends else 0)
