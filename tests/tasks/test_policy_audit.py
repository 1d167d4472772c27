"""What a host's policy refuses stands in the audit."""

from __future__ import annotations

import pytest

from agent_client.protocol.messages import Refused
from agent_client.protocol.transfers import POLICY_DENIED_EXIT
from dialer_platform.accounts.models import AuditEvent
from tasks.choices import Kind
from tasks.models import Task
from tests.tasks.conftest import FakeHost, fresh, new_id

pytestmark = pytest.mark.django_db


def refuse(host: FakeHost, task: Task, detail: str, code: str = "policy_denied") -> None:
    """Have the host refuse the task that it is offered."""
    message = Refused(
        message_id=new_id(), task_id=task.pk, offer=task.offer, code=code, detail=detail
    )
    host.say(message)


def entries() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action="policy.refused").order_by("id"))


def test_refused_task_is_audited_once_for_each_reason(host, submit):
    task = submit()
    for number, reason in enumerate(["work: scripts", "work: scripts", "run_as: root"], start=1):
        Task.objects.filter(pk=task.pk).update(phase="offered", agent=host.agent, offer=number)
        refuse(host, fresh(task), reason)
    found = entries()
    assert [one.detail["reason"] for one in found] == ["work: scripts", "run_as: root"]
    assert {(one.actor, one.object_type, one.object_id, one.tenant_id) for one in found} == {
        (f"agent:{host.agent.pk}", "tasks.task", str(task.pk), task.tenant_id)
    }
    assert found[0].detail["kind"] == "task"


def test_host_without_a_free_slot_is_no_matter_of_policy(host, submit):
    refuse(host, submit(), "full", code="no_free_slot")
    assert entries() == []


@pytest.mark.parametrize(
    ("kind", "exit_code", "count"),
    [
        (Kind.FILE_UPLOAD, POLICY_DENIED_EXIT, 1),
        (Kind.FILE_UPLOAD, 1, 0),
        (Kind.SCRIPT, POLICY_DENIED_EXIT, 0),
    ],
)
def test_transfer_that_ends_at_the_policy_is_audited(host, submit, kind, exit_code, count):
    task = submit()
    host.run(task)
    Task.objects.filter(pk=task.pk).update(kind=kind)
    host.finish(task, exit_code=exit_code)
    assert [one.object_id for one in entries()] == [str(task.pk)] * count
