"""Reconciliation: whatever message was lost, the next full list heals it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agent_client.protocol.messages import Capacity, Hello, Hold
from agents import fleet, inbox
from agents.inbox import Beat, Reply
from agents.inbox_batch import Submission, run_batch
from tasks.choices import CANCELED, FAILED, OFFERED, QUEUED, RUNNING, STARTING
from tasks.logs.files import store
from tasks.models import Task
from tasks.services import offering, reconcile
from tasks.services.cancel import cancel_task
from tests.tasks.conftest import fresh

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch):
    """Give the memory of missing tasks a clock that the test moves."""
    now = [0.0]
    monkeypatch.setattr(reconcile, "missing", reconcile.MissingTasks(clock=lambda: now[0]))
    return now


def hold(task: Task, state: str = "running", *, offer: int | None = None, log_bytes: int = 0):
    """Return what the agent says it has of a task."""
    number = task.offer if offer is None else offer
    return Hold(task_id=task.pk, offer=number, state=state, log_bytes=log_bytes)


def wants(reply) -> list[tuple[int, str]]:
    """Return the wishes of a reply."""
    return [(one.task_id, one.want) for one in reply.desired]


def test_nothing_is_said_when_both_sides_agree(host, submit):
    task = host.run(submit())
    reply = host.beat(hold(task))
    assert (reply.desired, reply.tasks, reply.log_offsets) == ([], [], [])


def test_lost_offer_is_repeated_to_a_polling_host(host, submit):
    task = submit()
    assert [spec.task_id for spec in host.beat().tasks] == [task.pk]


def test_offer_is_repeated_when_the_host_does_not_say_what_it_holds(host, submit):
    task = submit()
    assert [spec.task_id for spec in host.beat(knows=False).tasks] == [task.pk]


def test_offer_under_way_is_not_repeated_to_a_connected_host(host, submit, monkeypatch):
    monkeypatch.setattr(reconcile.connections, "is_connected", lambda agent_id: True)
    submit()
    assert host.beat().tasks == []


def test_offer_from_before_the_clock_was_set_back_is_repeated(host, submit, monkeypatch):
    monkeypatch.setattr(reconcile.connections, "is_connected", lambda agent_id: True)
    task = submit()
    Task.objects.update(offered_at=timezone.now() + timedelta(hours=1))
    assert [spec.task_id for spec in host.beat().tasks] == [task.pk]


def test_offer_is_repeated_to_a_host_that_connects_again(host, submit, monkeypatch):
    """The agent died with the offer in its socket: a new one must not wait for the expiry."""
    monkeypatch.setattr(reconcile.connections, "is_connected", lambda agent_id: True)
    task = submit()
    hello = Hello(
        message_id="h",
        agent_id=host.agent.pk,
        instance_id="i",
        boot_id="b",
        version="1",
        capacity=Capacity(cpu_cores=1, memory_bytes=1, slots=1),
    )
    submission = Submission(host.principal, beat=hello, holds=(), reconcile=True)
    run_batch(inbox.registry, [submission])
    assert [spec.task_id for spec in submission.reply.tasks] == [task.pk]


def test_offer_made_in_another_process_is_sent_when_it_rings(host, submit, monkeypatch):
    monkeypatch.setattr(reconcile.connections, "is_connected", lambda agent_id: True)
    task, reply = submit(), Reply()
    reconcile.reconcile([Beat(host.principal, None, (), reply)])
    assert [spec.task_id for spec in reply.tasks] == [task.pk]


def test_lost_accepted_heals_by_the_list(host, submit):
    task = submit()
    reply = host.beat(hold(task, "accepted"))
    assert wants(reply) == [(task.pk, "run")]
    assert fresh(task).state == STARTING


def test_lost_go_is_repeated(host, submit):
    task = submit()
    host.accept(task)
    assert wants(host.beat(hold(task, "accepted"))) == [(task.pk, "run")]


def test_order_with_script_is_repeated_when_the_host_has_nothing_of_a_starting_task(host, submit):
    task = submit(script_content="echo again")
    host.accept(task)
    (desired,) = host.beat().desired
    assert (desired.want, desired.spec.script_content) == ("run", "echo again")


def test_running_task_is_given_up_only_when_missing_twice(host, submit, clock):
    task = host.run(submit())
    host.beat()
    assert fresh(task).state == RUNNING
    clock[0] = reconcile.MISSING_SECONDS
    host.beat()
    assert (fresh(task).state, fresh(task).reason) == (FAILED, "supervisor_lost")


def test_running_task_that_reappears_is_not_given_up(host, submit, clock):
    task = host.run(submit())
    host.beat()
    clock[0] = reconcile.MISSING_SECONDS
    host.beat(hold(task))
    host.beat()
    assert fresh(task).state == RUNNING


def test_running_task_is_not_missed_when_the_list_is_unknown(host, submit, clock):
    task = host.run(submit())
    host.beat(knows=False)
    clock[0] = reconcile.MISSING_SECONDS
    host.beat(knows=False)
    assert fresh(task).state == RUNNING


def test_cancel_is_repeated_until_the_result_comes(host, submit, principal):
    task = host.run(submit())
    cancel_task(task, by=principal)
    assert wants(host.beat(hold(task))) == [(task.pk, "cancel")]
    assert wants(host.beat(hold(task))) == [(task.pk, "cancel")]
    assert wants(host.beat(hold(task, "finished"))) == []


def test_ended_task_is_forgotten(host, submit):
    task = host.run(submit())
    host.finish(task)
    assert wants(host.beat(hold(task, "finished"))) == [(task.pk, "forget")]


def test_ended_task_is_kept_until_its_log_is_stored(host, submit):
    task = host.run(submit())
    host.finish(task, log_bytes=4)
    reply = host.beat(hold(task, "finished", log_bytes=4))
    assert wants(reply) == []
    assert reply.log_offsets[0].next == 0


def test_void_offer_is_revoked_when_only_accepted(host, submit, principal):
    task = submit()
    cancel_task(task, by=principal)
    assert wants(host.beat(hold(task, "accepted"))) == [(task.pk, "revoke")]


@pytest.mark.parametrize(
    ("state", "want"), [("accepted", "revoke"), ("running", "cancel"), ("finished", "forget")]
)
def test_hold_of_an_older_offer_is_let_go(host, submit, state, want):
    task = host.run(submit())
    reply = host.beat(hold(task, state, offer=0))
    assert wants(reply)[0] == (task.pk, want)
    assert fresh(task).state == RUNNING


def test_orphan_is_left_alone(host):
    unknown = Hold(task_id=999_999, offer=1, state="running")
    assert host.beat(unknown).desired == []


def test_task_of_another_tenant_is_an_orphan(host, submit, other_tenant):
    task = submit()
    Task.objects.filter(pk=task.pk).update(tenant=other_tenant)
    assert host.beat(hold(task)).desired == []


def test_log_goes_on_where_the_store_ends(host, submit):
    task = host.run(submit())
    store().append_stream(task.pk, 1, 0, b"abc")
    reply = host.beat(hold(task, log_bytes=10))
    assert [(one.task_id, one.next) for one in reply.log_offsets] == [(task.pk, 3)]


def test_waiting_task_is_offered_when_a_host_comes_back(new_host, submit):
    host = new_host(status="offline")
    task = submit()
    assert task.state == QUEUED
    type(host.agent).objects.update(status="online")
    fleet.clear()
    assert [spec.task_id for spec in host.beat().tasks] == [task.pk]


def test_unconfirmed_offer_expires(host, submit):
    task = submit()
    offering.withdraw_offers_before(timezone.now() + timedelta(seconds=1))
    assert fresh(task).state == QUEUED
    assert host.accept(task).revoked


def test_offer_from_before_the_clock_was_set_back_expires(host, submit):
    task = submit()
    Task.objects.update(offered_at=timezone.now() + timedelta(hours=1))
    assert offering.withdraw_expired_offers() == 1
    assert fresh(task).state == QUEUED


def test_young_offer_does_not_expire(host, submit):
    task = submit()
    assert offering.withdraw_expired_offers() == 0
    assert fresh(task).state == OFFERED


def test_cancel_of_a_task_that_never_started_and_is_missing_ends_as_canceled(
    host, submit, principal, clock
):
    task = submit()
    host.accept(task)
    cancel_task(task, by=principal)
    host.beat()
    clock[0] = reconcile.MISSING_SECONDS
    host.beat()
    assert fresh(task).state == CANCELED
