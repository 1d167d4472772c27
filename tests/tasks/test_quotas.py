"""How many tasks and log bytes a tenant may have: refused beyond, the others unaffected."""

from __future__ import annotations

import pytest

from dialer_platform.accounts.principal import principal_for
from dialer_platform.quotas import QuotaExceeded
from tasks.logs import usage
from tasks.models import Task
from tasks.services import quotas
from tasks.services.submit import create_task, create_tasks
from tests.tasks.conftest import FIELDS

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_figures(settings, tmp_path):
    """Start with nothing counted, and figures of the test's own."""
    settings.DIALER_DATA_DIR = tmp_path
    for forget in (quotas.clear, usage.clear):
        forget()
    yield
    for forget in (quotas.clear, usage.clear):
        forget()


@pytest.fixture
def clock(monkeypatch):
    """Return the monotonic clock of the counts, moved by hand."""
    now = [1000.0]
    monkeypatch.setattr(quotas.time, "monotonic", lambda: now[0])
    return now


def test_tasks_beyond_the_limit_are_refused_until_some_have_ended(settings, submit, clock):
    settings.MAX_UNFINISHED_TASKS_PER_TENANT = 2
    first = submit()
    submit()
    with pytest.raises(QuotaExceeded, match="DIALER_MAX_UNFINISHED_TASKS_PER_TENANT") as caught:
        submit()
    assert list(caught.value.fields) == ["unfinished_tasks"]
    Task.objects.filter(pk=first.pk).update(status="completed", phase="")
    clock[0] += quotas.COUNT_FULL_SECONDS
    submit()
    assert Task.objects.count() == 3


def test_batch_beyond_the_limit_is_refused_as_a_whole(settings, principal, clock):
    settings.MAX_UNFINISHED_TASKS_PER_TENANT = 2
    with pytest.raises(QuotaExceeded):
        create_tasks(principal=principal, items=[FIELDS] * 3)
    assert not Task.objects.exists()


def test_other_tenants_are_unaffected(settings, submit, stranger, clock):
    settings.MAX_UNFINISHED_TASKS_PER_TENANT = 1
    submit()
    create_task(principal=principal_for(stranger), fields=FIELDS)


def test_submission_costs_no_count_while_the_last_one_is_fresh(
    submit, clock, django_assert_num_queries
):
    submit()
    with django_assert_num_queries(0):
        quotas.ensure_tasks("default", 1)
    clock[0] += quotas.COUNT_SECONDS
    with django_assert_num_queries(1):
        quotas.ensure_tasks("default", 1)


def test_no_limit_counts_nothing(settings, django_assert_num_queries):
    settings.MAX_UNFINISHED_TASKS_PER_TENANT = 0
    with django_assert_num_queries(0):
        quotas.ensure_tasks("default", 1_000_000)


def test_answer_names_the_code_and_the_setting(settings, client, admin_user, submit, clock):
    settings.MAX_UNFINISHED_TASKS_PER_TENANT = 1
    submit()
    client.force_login(admin_user)
    answer = client.post("/api/v1/tasks/", FIELDS, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
    assert "DIALER_MAX_UNFINISHED_TASKS_PER_TENANT" in answer.json()["detail"]


def test_logs_of_a_tenant_stop_its_new_tasks_only(settings, submit, stranger):
    settings.LOG_TENANT_MAX_BYTES = 1000
    for size in (400, 600):
        Task.objects.filter(pk=submit().pk).update(log_bytes=size, status="completed", phase="")
    submit()
    assert usage.measure() == {"default": 1000}
    usage.clear()
    with pytest.raises(QuotaExceeded, match="DIALER_LOG_TENANT_MAX_BYTES"):
        submit()
    create_task(principal=principal_for(stranger), fields=FIELDS)


@pytest.mark.parametrize("text", ["", "[1", None])
def test_figures_that_cannot_be_read_refuse_nothing(settings, submit, tmp_path, text):
    settings.LOG_TENANT_MAX_BYTES = 1
    (tmp_path / "logs").mkdir(exist_ok=True)
    if text is not None:
        (tmp_path / "logs" / "usage.json").write_text(text)
    submit()
