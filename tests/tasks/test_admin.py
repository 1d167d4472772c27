"""Admin of tasks: shown, never edited or deleted, verbs through the services."""

from __future__ import annotations

import pytest

from tests.tasks.conftest import fresh

pytestmark = pytest.mark.django_db

LIST = "/admin/tasks/task/"


@pytest.fixture
def client(page_client, superuser):
    return page_client(superuser)


@pytest.mark.parametrize(
    "model",
    ["task", "taskevent", "taskdependency", "submissionkey", "storedfile", "filetransfer"],
)
def test_every_table_has_a_list(client, submit, host, model):
    submit(depends_on=[submit().pk])
    submit(kind="file_download", agent_id=host.agent.pk, file={"path": "/srv/x"})
    assert client.get(f"/admin/tasks/{model}/").status_code == 200


def test_task_page_shows_badge_reason_and_timeline(client, submit):
    task = submit()
    page = client.get(f"{LIST}{task.pk}/change/").content.decode()
    assert ">waiting</span>" in client.get(LIST).content.decode()
    assert "no agent is enrolled yet" in page
    assert "submitted" in page


def test_list_costs_the_same_queries_for_many(client, host, submit, django_assert_max_num_queries):
    for _ in range(20):
        submit()
    with django_assert_max_num_queries(15):
        client.get(LIST)


@pytest.mark.parametrize("query", ["?q=needle", "?status__exact=waiting", "?priority=3"])
def test_list_is_searched_and_filtered(client, submit, query):
    submit(name="needle")
    page = client.get(LIST + query)
    assert b"needle" in page.content


def test_task_is_neither_added_nor_changed_nor_deleted(client, submit):
    task = submit()
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{task.pk}/change/", {"name": "x"}).status_code == 403
    assert client.post(f"{LIST}{task.pk}/delete/", {"post": "yes"}).status_code == 403
    assert fresh(task).name == "train"


def act(client, action: str, *tasks):
    ids = [task.pk for task in tasks]
    return client.post(LIST, {"action": action, "_selected_action": ids}, follow=True)


def test_cancel_action_cancels_and_reports_what_had_ended(client, host, submit):
    done, waiting = host.run(submit()), submit()
    host.finish(done)
    page = act(client, "cancel", done, waiting).content.decode()
    assert (fresh(done).status, fresh(waiting).status) == ("completed", "canceled")
    assert "has ended already" in page
    assert "1 task." in page


def test_rerun_action_makes_a_new_task(client, submit):
    task = submit()
    act(client, "rerun", task)
    assert task.reruns.get().created_by.username == "root"
