"""Another limit for a transfer: stored, said to its host, and said again until it holds."""

from __future__ import annotations

import pytest

from agent_client.protocol.messages import Hold, Reconcile
from agents.reply import Reply
from dialer_platform.accounts.models import AuditEvent
from tasks.choices import RUNNING, STARTING
from tasks.services.bandwidth import change_bandwidth, order_for
from tasks.services.moves import move
from tasks.services.rerun import rerun_task
from tasks.services.specs import spec_of
from tests.tasks.conftest import FakeHost, fresh

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(api_client, operator_user):
    return api_client(operator_user)


@pytest.fixture
def task(submit, host):
    """Return a download that its host is about to do."""
    order = {"path": "/srv/x", "bandwidth_mb": 10}
    return submit(kind="file_download", agent_id=host.agent.pk, name="", file=order)


def post(client, task, value: object):
    body = {} if value is None else {"bandwidth_mb": value}
    return client.post(f"/api/v1/tasks/{task.pk}/bandwidth/", body, format="json")


def beat(host: FakeHost, task, bandwidth_mb: float | None) -> list[tuple[int, int, float]]:
    """Send what the host holds and return the limits it is told."""
    hold = Hold(task_id=task.pk, offer=task.offer, state="running", bandwidth_mb=bandwidth_mb)
    orders = host.beat(hold).bandwidths
    return [(one.task_id, one.offer, one.bandwidth_mb) for one in orders]


def test_running_transfer_is_told_its_new_limit_after_the_commit(
    client, task, host, delivered, django_capture_on_commit_callbacks
):
    task = host.run(task)
    with django_capture_on_commit_callbacks(execute=True):
        answer = post(client, task, 2.5)
    assert (answer.status_code, answer.json()["file"]["options"]["bandwidth_mb"]) == (202, 2.5)
    messages = [message for _agent, message in delivered if isinstance(message, Reconcile)]
    assert [(one.offer, one.bandwidth_mb) for one in messages[-1].bandwidths] == [(task.offer, 2.5)]
    entry = AuditEvent.objects.get(action="file.bandwidth", object_id=str(task.pk))
    assert entry.detail == {"bandwidth_mb": 2.5, "before_mb": 10.0}
    assert task.events.filter(kind="bandwidth_changed").count() == 1


def test_lost_message_heals_by_what_the_host_holds(client, task, host):
    task = host.run(task)
    assert beat(host, task, 10.0) == []
    post(client, task, 2.5)
    assert beat(host, task, 10.0) == [(task.pk, task.offer, 2.5)]
    assert beat(host, task, 2.5) == []


def test_host_that_cannot_change_it_is_left_alone(client, task, host):
    task = host.run(task)
    post(client, task, 2.5)
    assert beat(host, task, None) == []


def test_limits_of_many_transfers_cost_one_query(
    submit, host, new_file, django_assert_max_num_queries
):
    order = {"kind": "file_download", "agent_id": host.agent.pk, "name": "", "file": {"path": "/x"}}
    tasks = [host.run(submit(**order)) for _ in range(2)]
    holds = [
        Hold(task_id=one.pk, offer=one.offer, state="running", bandwidth_mb=1.0) for one in tasks
    ]
    host.beat(*holds[:1])
    with django_assert_max_num_queries(9):
        reply = host.beat(*holds)
    assert len(reply.bandwidths) == 2


def test_waiting_transfer_starts_with_it(client, task):
    assert post(client, task, 0).status_code == 202
    assert spec_of(fresh(task)).transfer.bandwidth_mb == 0


def test_rerun_keeps_it(client, task, principal):
    post(client, task, 3)
    assert rerun_task(fresh(task), by=principal).transfer.options["bandwidth_mb"] == 3


@pytest.mark.parametrize("value", [None, "", "fast", -1, 1e9, True, [1]])
def test_what_is_no_limit_is_refused_by_name(client, task, value):
    answer = post(client, task, value)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["bandwidth_mb"])


def test_ended_transfer_has_none_any_more(client, task, host):
    host.finish(host.run(task))
    answer = post(client, task, 1)
    assert (answer.status_code, answer.json()["code"]) == (409, "task_ended")


@pytest.mark.parametrize("kind", ["script", "file_preview"])
def test_what_moves_no_content_has_none(client, submit, host, kind):
    file = {"file": {"path": "/x"}, "name": ""} if kind != "script" else {}
    task = submit(kind=kind, agent_id=host.agent.pk, **file)
    assert post(client, task, 1).status_code == 409


def test_viewer_and_stranger_change_nothing(api_client, viewer_user, stranger, task):
    assert post(api_client(viewer_user), task, 1).status_code == 403
    assert post(api_client(stranger), task, 1).status_code == 404
    assert fresh(task).transfer.options["bandwidth_mb"] == 10


def test_answer_of_one_beat_carries_limits_by_both_transports(task, principal):
    for to in (STARTING, RUNNING):
        move(fresh(task), to=to, kind="test")
    change_bandwidth(task, by=principal, bandwidth_mb=1)
    reply, other = Reply(), Reply()
    other.limit_bandwidth(order_for(task, 1.0))
    reply.absorb(other)
    answer = reply.to_answer(epoch=1, heartbeat_interval=1, installation="i")
    (message,) = [one for one in reply.to_messages() if isinstance(one, Reconcile)]
    assert answer.bandwidths == message.bandwidths == (order_for(task, 1.0),)


def test_page_of_a_running_transfer_offers_the_change(page_client, operator_user, task, host):
    task = host.run(task)
    page = page_client(operator_user)
    text = page.get(f"/tasks/{task.pk}/").content.decode()
    assert "at most 10 MB/s" in text
    assert f"/tasks/{task.pk}/bandwidth/" in text
    answer = page.post(f"/tasks/{task.pk}/bandwidth/", {"bandwidth_mb": "2,5"})
    assert (answer.status_code, answer["Location"]) == (302, f"/tasks/{task.pk}/")
    assert fresh(task).transfer.options["bandwidth_mb"] == 2.5
    host.finish(task)
    assert "/bandwidth/" not in page.get(f"/tasks/{task.pk}/").content.decode()
