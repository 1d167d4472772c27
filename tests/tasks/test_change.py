"""Changes and reruns: what may still change, and what a new run takes over."""

from __future__ import annotations

import pytest

from agent_client.protocol import frames
from agents import fleet
from dialer_platform.errors import Conflict, Invalid, NotFound
from tasks.choices import OFFERED, QUEUED
from tasks.models import Task
from tasks.services import task_service
from tasks.services.cancel import cancel_task
from tasks.services.change import update_task, update_task_by_key
from tasks.services.rerun import rerun_task
from tests.tasks.conftest import fresh

pytestmark = pytest.mark.django_db


def test_waiting_task_can_be_changed_in_everything(submit, principal):
    task = submit()
    fields = {"name": "new", "script_content": "false", "env": {"A": "1"}, "timeout": 5}
    update_task(task, by=principal, fields=fields)
    task = fresh(task)
    assert (task.name, task.script_content, task.env, task.timeout) == (
        "new",
        "false",
        {"A": "1"},
        5,
    )


def test_running_task_can_be_renamed(host, submit, principal):
    task = host.run(submit())
    update_task(task, by=principal, fields={"name": "new", "priority": 1})
    assert (fresh(task).name, fresh(task).priority) == ("new", 1)


@pytest.mark.parametrize("field", ["script_content", "cpu_cores", "depends_on", "agent_id"])
def test_running_task_cannot_be_changed_otherwise(host, submit, principal, field):
    task = host.run(submit())
    value = {"script_content": "x", "cpu_cores": 2, "depends_on": [], "agent_id": ""}[field]
    with pytest.raises(Conflict) as error:
        update_task(task, by=principal, fields={field: value})
    assert list(error.value.fields) == [field]


def test_wrong_change_changes_nothing(submit, principal):
    task = submit()
    with pytest.raises(Invalid):
        update_task(task, by=principal, fields={"name": "new", "priority": 9})
    assert fresh(task).name == "train"


def test_gpu_memory_needs_the_gpus_the_task_already_asks_for(submit, principal):
    task = submit(gpu_count=1)
    update_task(task, by=principal, fields={"gpu_memory": 1_000})
    with pytest.raises(Invalid):
        update_task(task, by=principal, fields={"gpu_count": 0})


def test_unknown_agent_is_not_found(submit, principal):
    with pytest.raises(NotFound):
        update_task(submit(), by=principal, fields={"agent_id": "a-nobody"})


def test_task_that_fits_after_a_change_is_offered_at_once(host, submit, principal):
    task = submit(cpu_cores=99)
    assert task.state == QUEUED
    update_task(task, by=principal, fields={"cpu_cores": 1})
    assert fresh(task).state == OFFERED


def test_more_urgent_task_goes_first(new_host, submit, principal):
    host = new_host(slots=1)
    running, older, newer = submit(), submit(), submit()
    update_task_by_key(newer, "priority", 1, by=principal)
    host.run(running)
    host.finish(running)
    assert (fresh(older).state, fresh(newer).state) == (QUEUED, OFFERED)


def test_change_is_an_event_with_its_fields(submit, principal):
    task = submit()
    update_task(task, by=principal, fields={"name": "new"})
    event = task.events.get(kind="changed")
    assert (event.actor, event.detail) == (principal.name, {"fields": ["name"]})


def test_empty_change_leaves_no_trace(submit, principal):
    task = submit()
    update_task(task, by=principal, fields={})
    assert not task.events.filter(kind="changed").exists()


def test_rerun_is_a_new_task_with_the_same_request(host, submit, principal):
    task = host.run(submit(env={"A": "1"}, priority=2, timeout=9))
    host.finish(task, exit_code=1)
    new = fresh(rerun_task(task, by=principal))
    assert new.pk != task.pk
    assert (new.rerun_of_id, new.env, new.priority, new.timeout) == (task.pk, {"A": "1"}, 2, 9)
    assert fresh(task).status == "failed"


def test_rerun_leaves_out_dependencies_that_failed(host, submit, principal):
    bad = host.run(submit())
    task = submit(depends_on=[bad.pk])
    host.finish(bad, exit_code=1)
    assert fresh(rerun_task(task, by=principal)).state == OFFERED


def test_rerun_forgets_an_agent_that_was_revoked(host, submit, principal):
    task = submit(agent_id=host.agent.pk)
    cancel_task(task, by=principal)
    type(host.agent).objects.update(revoked_at=task.created_time)
    assert rerun_task(fresh(task), by=principal).wanted_agent_id is None


def test_service_reads_by_its_everyday_names(submit, principal):
    tasks = [submit() for _ in range(5)]
    ids = [task.pk for task in tasks]
    assert task_service.get_task_by_id(ids[0], principal=principal).pk == ids[0]
    found = task_service.get_task_in_range(ids[1], ids[3], principal=principal)
    assert [task.pk for task in found] == ids[1:4]
    page = task_service.get_task_in_page(2, principal=principal, page_size=2)
    assert [task.pk for task in page] == [ids[2], ids[1]]
    assert task_service.get_all_tasks(principal=principal).count() == 5
    assert task_service.get_max_id(principal=principal) == ids[-1]


def test_service_does_not_know_tasks_of_another_tenant(submit, principal, other_tenant):
    task = submit()
    Task.objects.update(tenant=other_tenant)
    with pytest.raises(NotFound):
        task_service.get_task_by_id(task.pk, principal=principal)
    assert task_service.get_max_id(principal=principal) == 0


def test_agent_finds_the_most_urgent_task_that_fits(new_host, submit):
    host = new_host(status="offline")
    submit(priority=1, cpu_cores=99)
    wanted = submit(priority=2)
    submit(priority=3)
    type(host.agent).objects.update(status="online")
    fleet.clear()
    found = task_service.find_task_for_agent(host.agent.pk, tenant_id="default")
    assert found is not None
    assert found.pk == wanted.pk


def test_service_appends_and_reads_logs(submit):
    task = submit()
    data = frames.encode(1, 1_000, b"hello")
    assert task_service.append_task_log(task.pk, 0, data) == 5
    assert task_service.get_task_log(task.pk, offset=1, limit=3) == b"ell"
