"""What is wrong with hosts and tasks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Agent
from tasks.alerts.sources import failed_tasks, lost_agents
from tasks.models import Task


@pytest.fixture
def host(tenant) -> Agent:
    """A host that has called before and is silent now."""
    return Agent.objects.create(
        tenant=tenant, name="box", status="offline", token_used=True, labels={"site": "a"}
    )


def test_silent_host_is_a_problem(host) -> None:
    (found,) = lost_agents(host.tenant_id, timezone.now())
    assert (found.key, found.name, found.labels) == (f"agent:{host.id}", "box", {"site": "a"})


@pytest.mark.parametrize(
    "change",
    [
        {"status": "online"},
        {"revoked_at": timezone.now()},
        {"token_used": False},
        {"type": "sub"},
        {"is_paused": True},
    ],
)
def test_other_hosts_are_none(host, change) -> None:
    Agent.objects.update(**change)
    assert lost_agents(host.tenant_id, timezone.now()) == []


def test_failed_task_is_a_problem_for_an_hour(tenant) -> None:
    now = timezone.now()
    task = Task.objects.create(
        tenant=tenant, name="train", status="failed", reason="exit", exit_code=3, end_time=now
    )
    (found,) = failed_tasks(tenant.id, now)
    assert (found.key, found.is_momentary) == (f"task:{task.pk}", True)
    assert "exit code 3" in found.text
    assert failed_tasks(tenant.id, now + timedelta(hours=2)) == []


def test_problems_stay_in_their_tenant(host, other_tenant) -> None:
    assert lost_agents(other_tenant.id, timezone.now()) == []
