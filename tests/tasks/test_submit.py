"""Submission: what is accepted, what is refused with which field, and what is stored."""

from __future__ import annotations

import pytest

from dialer_platform.accounts.models import AuditEvent
from dialer_platform.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable
from tasks.choices import BLOCKED, CANCELED, OFFERED, QUEUED
from tasks.logs import space
from tasks.models import SubmissionKey, Task
from tasks.services.cancel import cancel_task
from tasks.services.submit import create_task, create_tasks, delete_old_keys
from tests.tasks.conftest import FIELDS, fresh

pytestmark = pytest.mark.django_db


def test_defaults_are_the_contract_s(submit):
    task = submit(cpu_cores=1)
    assert (task.script_type, task.priority, task.cpu_cores) == ("shell", 3, 1)
    assert (task.gpu_count, task.gpu_memory, task.timeout) == (0, 0, None)
    assert (task.env, task.labels, task.working_dir, task.merge_output) == ({}, {}, "", False)


def test_patience_with_a_vanished_host_is_a_setting(submit, settings):
    settings.LOST_AFTER_SECONDS = 7
    assert fresh(submit()).lost_after_seconds == 7


def test_task_waits_when_there_is_no_host(submit):
    assert submit().state == QUEUED


def test_name_is_trimmed_and_script_is_not(submit):
    task = submit(name="  train  ", script_content="  true\n")
    assert (task.name, task.script_content) == ("train", "  true\n")


@pytest.mark.parametrize("name", ["name", "template_type", "script_content"])
def test_required_field_is_named_when_missing(principal, name):
    fields = {key: value for key, value in FIELDS.items() if key != name}
    with pytest.raises(Invalid) as error:
        create_task(principal=principal, fields=fields)
    assert list(error.value.fields) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", ""),
        ("name", "   "),
        ("name", None),
        ("name", 7),
        ("name", "x" * 201),
        ("name", "two\nlines"),
        ("name", "nul\x00"),
        ("name", "\ud800"),
        ("template_type", " "),
        ("script_content", ""),
        ("script_content", " \n"),
        ("script_content", ["true"]),
        ("script_content", "echo \x00"),
        ("script_type", "perl"),
        ("script_type", None),
        ("priority", 0),
        ("priority", 6),
        ("priority", 9),
        ("priority", "high"),
        ("priority", True),
        ("priority", 2.5),
        ("priority", None),
        ("cpu_cores", -1),
        ("cpu_cores", False),
        ("cpu_cores", 10**12),
        ("gpu_count", -1),
        ("gpu_memory", -1),
        ("depends_on", "1,2"),
        ("depends_on", [1, 1]),
        ("depends_on", [0]),
        ("depends_on", [True]),
        ("depends_on", ["x"]),
        ("depends_on", {"1": 1}),
        ("depends_on", list(range(1, 1_002))),
        ("depends_on", [999_999]),
        ("depends_on", [2**63]),
        ("labels", ["gpu"]),
        ("labels", {"gpu": 1}),
        ("labels", {"": "x"}),
        ("labels", {str(n): "x" for n in range(65)}),
        ("timeout", 0),
        ("timeout", -5),
        ("timeout", True),
        ("timeout", "soon"),
        ("env", "A=1"),
        ("env", {"A": 1}),
        ("env", {"1A": "x"}),
        ("env", {"A B": "x"}),
        ("env", {"A": "nul\x00"}),
        ("env", {"A": "x" * 65_537}),
        ("working_dir", "relative/path"),
        ("working_dir", "x" * 1_001),
        ("merge_output", "perhaps"),
        ("merge_output", 1),
    ],
)
def test_wrong_value_is_refused_with_its_field(principal, name, value):
    with pytest.raises(Invalid) as error:
        create_task(principal=principal, fields={**FIELDS, name: value})
    assert list(error.value.fields) == [name]
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "<script>alert(1)</script>"),
        ("name", "训练 🚀"),
        ("priority", "5"),
        ("cpu_cores", 0),
        ("timeout", ""),
        ("env", {"_A1": "x=y\nz"}),
        ("working_dir", "/data/run 1"),
        ("working_dir", "C:\\jobs"),
        ("labels", {"zone": "lab"}),
        ("merge_output", "true"),
        ("depends_on", None),
        ("agent_id", None),
    ],
)
def test_unusual_value_is_accepted(submit, name, value):
    assert submit(**{name: value}).pk


def test_all_wrong_fields_are_named_at_once(principal):
    with pytest.raises(Invalid) as error:
        create_task(principal=principal, fields={"name": "", "priority": 9})
    assert set(error.value.fields) == {"name", "priority", "template_type", "script_content"}


def test_gpu_memory_without_gpus_says_how_to_mend_it(principal):
    with pytest.raises(Invalid) as error:
        create_task(principal=principal, fields={**FIELDS, "gpu_memory": 1_000})
    assert "gpu_count" in error.value.fields["gpu_memory"][0]


def test_script_of_one_mebibyte_is_accepted_and_one_more_byte_is_not(submit, principal):
    assert submit(script_content="x" * 1024 * 1024).pk
    with pytest.raises(TooLarge) as error:
        create_task(
            principal=principal, fields={**FIELDS, "script_content": "x" * (1024 * 1024 + 1)}
        )
    assert list(error.value.fields) == ["script_content"]


def test_script_is_measured_in_bytes(principal):
    with pytest.raises(TooLarge):
        create_task(principal=principal, fields={**FIELDS, "script_content": "日" * 400_000})


def test_unknown_field_is_ignored(submit):
    assert submit(colour="red", status="completed").state == QUEUED


def test_unknown_agent_is_not_found(principal):
    with pytest.raises(NotFound) as error:
        create_task(principal=principal, fields={**FIELDS, "agent_id": "a-nobody"})
    assert list(error.value.fields) == ["agent_id"]


def test_agent_of_another_tenant_is_not_found(principal, new_host, other_tenant):
    foreign = new_host("theirs", tenant_id=other_tenant.pk)
    with pytest.raises(NotFound):
        create_task(principal=principal, fields={**FIELDS, "agent_id": foreign.agent.pk})


def test_named_agent_gets_the_task(new_host, submit):
    new_host("first")
    second = new_host("second")
    assert submit(agent_id=second.agent.pk).agent_id == second.agent.pk


def test_dependency_of_another_tenant_is_refused_like_an_unknown_one(
    principal, submit, other_tenant
):
    foreign = submit()
    Task.objects.filter(pk=foreign.pk).update(tenant=other_tenant)
    with pytest.raises(Invalid) as error:
        create_task(principal=principal, fields={**FIELDS, "depends_on": [foreign.pk]})
    assert error.value.fields["depends_on"] == [f"There is no such task: #{foreign.pk}"]


def test_task_is_blocked_by_an_unfinished_dependency(submit):
    assert submit(depends_on=[submit().pk]).state == BLOCKED


def test_task_is_not_blocked_by_a_completed_dependency(host, submit):
    done = host.run(submit())
    host.finish(done)
    assert submit(depends_on=[done.pk]).state == OFFERED


def test_task_is_canceled_at_once_by_a_broken_dependency(submit, principal):
    broken = submit()
    cancel_task(broken, by=principal)
    task = submit(depends_on=[broken.pk])
    assert (task.state, task.reason) == (CANCELED, "dependency_failed")
    assert task.reason_detail == f"#{broken.pk}"
    assert [event.kind for event in task.events.all()] == ["submitted", "dependency_failed"]


def test_submission_is_audited(submit, principal):
    task = submit()
    entry = AuditEvent.objects.get(action="task.submit")
    assert (entry.actor, entry.object_id) == (principal.name, str(task.pk))


def test_full_disk_refuses_new_tasks(principal, monkeypatch):
    monkeypatch.setattr(space, "_last", (float("inf"), False))
    with pytest.raises(Unavailable) as error:
        create_task(principal=principal, fields=FIELDS)
    assert error.value.code == "disk_full"


def test_offer_carries_everything_the_agent_needs(
    host, submit, django_capture_on_commit_callbacks, delivered
):
    with django_capture_on_commit_callbacks(execute=True):
        task = submit(env={"A": "1"}, timeout=60, working_dir="/tmp", priority=1)
    ((agent_id, message),) = delivered
    (spec,) = message.tasks
    assert agent_id == host.agent.pk
    assert (spec.task_id, spec.offer, spec.script_content) == (task.pk, 1, "true")
    assert (spec.env, spec.timeout_seconds, spec.working_dir) == ({"A": "1"}, 60, "/tmp")


# --- batches ------------------------------------------------------------------


def test_batch_is_stored_whole(principal, delivered):
    items = [{**FIELDS, "name": f"t{n}"} for n in range(20)]
    tasks = create_tasks(principal=principal, items=items)
    assert [task.name for task in tasks] == [f"t{n}" for n in range(20)]
    assert Task.objects.count() == 20


def test_batch_with_a_wrong_row_stores_nothing_and_names_it(principal):
    items = [FIELDS, {**FIELDS, "priority": 9}, {**FIELDS, "depends_on": "x"}]
    with pytest.raises(Invalid) as error:
        create_tasks(principal=principal, items=items)
    assert set(error.value.fields) == {"1.priority", "2.depends_on"}
    assert not Task.objects.exists()


def test_batch_with_an_unknown_dependency_names_the_row(principal):
    with pytest.raises(Invalid) as error:
        create_tasks(principal=principal, items=[FIELDS, {**FIELDS, "depends_on": [999]}])
    assert set(error.value.fields) == {"1.depends_on"}


@pytest.mark.parametrize("items", [[], {}, "x", None, [7]])
def test_batch_that_is_no_list_of_tasks_is_refused(principal, items):
    with pytest.raises(Invalid):
        create_tasks(principal=principal, items=items)


def test_batch_over_the_limit_is_refused(principal):
    with pytest.raises(TooLarge):
        create_tasks(principal=principal, items=[FIELDS] * 1_001)


def test_batch_costs_a_constant_number_of_queries(principal, host, django_assert_max_num_queries):
    with django_assert_max_num_queries(20):
        create_tasks(principal=principal, items=[FIELDS] * 100)


# --- idempotency --------------------------------------------------------------


def test_same_key_and_body_give_the_same_task(principal, delivered):
    first = create_task(principal=principal, fields=FIELDS, idempotency_key="k1")
    again = create_task(principal=principal, fields=dict(FIELDS), idempotency_key="k1")
    assert again.pk == first.pk
    assert Task.objects.count() == 1


def test_same_key_with_another_body_is_a_conflict(principal, delivered):
    create_task(principal=principal, fields=FIELDS, idempotency_key="k1")
    with pytest.raises(Conflict) as error:
        create_task(principal=principal, fields={**FIELDS, "priority": 1}, idempotency_key="k1")
    assert error.value.code == "idempotency_conflict"


def test_failed_submission_does_not_use_up_its_key(principal, delivered):
    with pytest.raises(Invalid):
        create_task(
            principal=principal, fields={**FIELDS, "depends_on": [999]}, idempotency_key="k1"
        )
    assert create_task(principal=principal, fields=FIELDS, idempotency_key="k1").pk


def test_batch_is_repeated_as_a_whole(principal, delivered):
    items = [FIELDS, {**FIELDS, "name": "second"}]
    first = create_tasks(principal=principal, items=items, idempotency_key="k1")
    again = create_tasks(principal=principal, items=items, idempotency_key="k1")
    assert [task.pk for task in again] == [task.pk for task in first]


def test_key_that_is_too_long_is_refused(principal):
    with pytest.raises(Invalid):
        create_task(principal=principal, fields=FIELDS, idempotency_key="k" * 201)


def test_old_keys_are_deleted(principal, delivered, monkeypatch):
    create_task(principal=principal, fields=FIELDS, idempotency_key="k1")
    assert delete_old_keys() == 0
    monkeypatch.setattr("tasks.services.submit.KEEP_KEYS_SECONDS", -1)
    assert delete_old_keys() == 1
    assert not SubmissionKey.objects.exists()


def test_version_counts_every_move(host, submit):
    task = submit()
    host.accept(task)
    assert fresh(task).version == 2
