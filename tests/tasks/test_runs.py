"""The life of a task over the wire, as the inbox's handlers write it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agent_client.protocol.messages import Accepted, Flagged
from agents.models import Agent
from tasks.choices import (
    CANCELED,
    CANCELING,
    COMPLETED,
    FAILED,
    OFFERED,
    QUEUED,
    RUNNING,
    STARTING,
)
from tasks.logs.files import store
from tasks.models import Task
from tasks.services.cancel import cancel_task
from tests.tasks.conftest import fresh, new_id, result, started

pytestmark = pytest.mark.django_db


def test_task_is_offered_when_submitted_to_a_host_with_room(host, submit):
    task = submit()
    assert task.state == OFFERED
    assert (task.agent_id, task.offer) == (host.agent.pk, 1)


def test_task_completes_when_every_message_arrives(host, submit):
    task = submit()
    assert host.accept(task).started[0].task_id == task.pk
    assert fresh(task).state == STARTING
    host.start(task)
    assert fresh(task).state == RUNNING
    reply = host.finish(task)
    ended = fresh(task)
    assert ended.state == COMPLETED
    assert (ended.exit_code, ended.reason, ended.execution_time) == (0, "exit", 1)
    assert reply.desired[0].want == "forget"


def test_timeline_names_every_step_in_order(host, submit):
    task = host.run(submit())
    host.finish(task)
    kinds = [event.kind for event in task.events.all()]
    assert kinds == ["submitted", "offered", "accepted", "started", "completed"]


def test_whole_life_in_one_batch_when_an_agent_was_cut_off(host, submit):
    task = submit()
    accepted = Accepted(message_id=new_id(), task_id=task.pk, offer=1)
    host.say(accepted, started(task), result(task, exit_code=3))
    assert fresh(task).state == FAILED


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"exit_code": 0}, COMPLETED),
        ({"exit_code": 3}, FAILED),
        ({"exit_code": None, "signal": 9}, FAILED),
        ({"exit_code": 0, "reason": "timeout"}, FAILED),
        ({"exit_code": None, "signal": 15, "reason": "user_cancel"}, CANCELED),
        ({"exit_code": None, "reason": "start_failed"}, FAILED),
        ({"exit_code": None, "reason": "out_of_memory"}, FAILED),
        ({"exit_code": 1, "reason": "something new"}, FAILED),
    ],
)
def test_final_state_follows_from_the_result(host, submit, facts, state):
    task = host.run(submit())
    host.finish(task, **facts)
    assert fresh(task).state == state


def test_second_accepted_gets_go_again(host, submit):
    task = submit()
    host.accept(task)
    reply = host.accept(task)
    assert [ref.task_id for ref in reply.started] == [task.pk]
    assert task.events.filter(kind="accepted").count() == 1


def test_accepted_twice_in_one_batch_counts_once(host, submit):
    task = submit()
    one = Accepted(message_id=new_id(), task_id=task.pk, offer=1)
    host.say(one, one)
    assert task.events.filter(kind="accepted").count() == 1


def test_accepted_is_revoked_when_the_offer_is_old(host, submit):
    task = submit()
    reply = host.say(Accepted(message_id=new_id(), task_id=task.pk, offer=0))
    assert [ref.offer for ref in reply.revoked] == [0]
    assert fresh(task).state == OFFERED


def test_accepted_is_revoked_when_another_host_says_it(host, new_host, submit):
    task = submit()
    other = new_host("other")
    assert other.accept(task).revoked
    assert fresh(task).state == OFFERED


def test_accepted_is_revoked_when_the_task_was_canceled(host, submit, principal):
    task = submit()
    cancel_task(task, by=principal)
    assert host.accept(task).revoked
    assert fresh(task).state == CANCELED


def test_refused_offer_goes_back_and_leaves_the_host_alone_for_a_while(host, submit):
    task = submit()
    host.refuse(task)
    task = fresh(task)
    assert task.state == QUEUED
    assert task.agent_id is None


def test_refused_offer_goes_to_another_host_at_once(host, new_host, submit):
    task = submit(agent_id="")
    other = new_host("other")
    host.refuse(task)
    task = fresh(task)
    assert (task.state, task.agent_id, task.offer) == (OFFERED, other.agent.pk, 2)


def test_result_is_ignored_when_it_comes_twice(host, submit):
    task = host.run(submit())
    host.finish(task)
    reply = host.finish(task, exit_code=9)
    assert fresh(task).exit_code == 0
    assert reply.desired[0].want == "forget"


def test_result_of_an_old_offer_changes_nothing(host, submit):
    task = host.run(submit())
    stale = Task(pk=task.pk, offer=0)
    reply = host.finish(stale)
    assert fresh(task).state == RUNNING
    assert reply.desired[0].want == "forget"


def test_result_of_another_host_changes_nothing(host, new_host, submit):
    task = host.run(submit())
    new_host("other").finish(task)
    assert fresh(task).state == RUNNING


def test_task_stays_with_the_agent_until_its_log_is_stored(host, submit):
    task = host.run(submit())
    reply = host.finish(task, log_bytes=10)
    assert fresh(task).state == COMPLETED
    assert reply.desired == []
    assert [(one.task_id, one.next) for one in reply.log_offsets] == [(task.pk, 0)]


def test_task_is_forgotten_when_its_log_is_stored_before_the_result(host, submit):
    task = host.run(submit())
    store().append_stream(task.pk, 1, 0, b"0123456789")
    reply = host.finish(task, log_bytes=10)
    assert reply.desired[0].want == "forget"


def test_start_time_is_believed_only_between_offer_and_now(host, submit):
    task = submit()
    host.accept(task)
    wrong = started(task)
    host.say(type(wrong)(message_id=new_id(), task_id=task.pk, offer=1, pid=1, started_at=1.0))
    assert fresh(task).start_time == task.offered_at


def test_end_time_is_believed_only_up_to_now(host, submit):
    task = host.run(submit())
    host.say(
        type(result(task))(
            message_id=new_id(),
            task_id=task.pk,
            offer=1,
            reason="exit",
            exit_code=0,
            finished_at=9e99,
        )
    )
    assert abs(fresh(task).end_time - timezone.now()) < timedelta(seconds=10)


def test_started_after_a_cancel_keeps_the_task_canceling(host, submit, principal):
    task = submit()
    host.accept(task)
    cancel_task(task, by=principal)
    host.start(task)
    task = fresh(task)
    assert task.state == CANCELING
    assert task.start_time is not None


def test_accepted_after_a_cancel_orders_the_stop(host, submit, principal):
    task = submit()
    host.accept(task)
    cancel_task(task, by=principal)
    assert [order.task_id for order in host.accept(task).cancels] == [task.pk]


def test_exit_that_wins_the_race_with_a_cancel_stays(host, submit, principal):
    task = host.run(submit())
    cancel_task(task, by=principal)
    host.finish(task, exit_code=0)
    assert fresh(task).state == COMPLETED


def test_unkillable_is_a_flag_beside_the_state(host, submit, principal):
    task = host.run(submit())
    cancel_task(task, by=principal)
    host.say(Flagged(message_id=new_id(), task_id=task.pk, offer=1, unkillable=True))
    task = fresh(task)
    assert (task.unkillable, task.state) == (True, CANCELING)


def test_sub_agent_lives_as_long_as_its_task(host, submit):
    task = host.run(submit())
    assert Agent.objects.running().get().task_id == task.pk
    host.finish(task)
    assert not Agent.objects.running().exists()


def test_next_task_is_offered_in_the_answer_when_one_ends(new_host, submit):
    host = new_host(slots=1)
    first, second = submit(), submit()
    host.run(first)
    reply = host.finish(first)
    assert [spec.task_id for spec in reply.tasks] == [second.pk]
    assert fresh(second).state == OFFERED


def test_messages_are_acknowledged_even_when_they_change_nothing(host, submit):
    task = submit()
    stale = Accepted(message_id="m-old", task_id=task.pk, offer=7)
    assert host.say(stale).acks == ["m-old"]


def test_result_of_an_unknown_task_is_kept_by_the_host(host):
    reply = host.finish(Task(pk=424_242, offer=1))
    assert reply.desired == []
    assert len(reply.acks) == 1
