"""Cancel and rerun from pages, one task and several."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from tasks.models import Task

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def client(page_client, operator_user) -> Client:
    """Return an operator's browser."""
    return page_client(operator_user)


def toast_of(answer) -> dict[str, str]:
    """Return the toast of an answer to HTMX."""
    return json.loads(answer.headers["HX-Trigger"])["toast"]


def status_of(task: Task) -> str:
    """Return the status as stored now."""
    return Task.objects.get(pk=task.pk).status


def test_cancel_shows_a_toast_in_place(client, submit):
    task = submit()
    answer = client.post(f"/tasks/{task.pk}/cancel/", **HTMX)
    assert answer.status_code == 204
    assert toast_of(answer)["text"] == f"#{task.pk} is canceled."
    assert status_of(task) == "canceled"


def test_cancel_without_script_goes_back_to_the_task(client, submit):
    task = submit()
    answer = client.post(f"/tasks/{task.pk}/cancel/")
    assert answer.headers["Location"] == f"/tasks/{task.pk}/"


def test_cancel_of_an_ended_task_is_a_toast_that_says_so(client, submit):
    task = submit()
    Task.objects.filter(pk=task.pk).update(status="completed", phase="")
    answer = client.post(f"/tasks/{task.pk}/cancel/", **HTMX)
    assert answer.status_code == 409
    assert toast_of(answer)["tone"] == "failed"


def test_rerun_opens_the_new_task(client, submit):
    task = submit(name="again")
    Task.objects.filter(pk=task.pk).update(status="failed", phase="")
    answer = client.post(f"/tasks/{task.pk}/rerun/", **HTMX)
    new = Task.objects.get(rerun_of=task)
    assert answer.headers["HX-Redirect"] == f"/tasks/{new.pk}/"


def test_several_tasks_are_canceled(client, submit):
    tasks = [submit(), submit()]
    ids = [task.pk for task in tasks]
    answer = client.post("/tasks/bulk/", {"action": "cancel", "ids": ids}, **HTMX)
    assert toast_of(answer)["text"] == "2 tasks are canceled."
    assert {status_of(task) for task in tasks} == {"canceled"}


def test_ended_tasks_among_several_stay_as_they_are(client, submit):
    ended, waiting = submit(), submit()
    Task.objects.filter(pk=ended.pk).update(status="completed", phase="")
    client.post("/tasks/bulk/", {"action": "cancel", "ids": [ended.pk, waiting.pk]}, **HTMX)
    assert (status_of(ended), status_of(waiting)) == ("completed", "canceled")


def test_several_tasks_are_submitted_again_in_their_order(client, submit):
    ids = [submit(name=name).pk for name in ("a", "b")]
    client.post("/tasks/bulk/", {"action": "rerun", "ids": ids[::-1]}, **HTMX)
    new = Task.objects.filter(rerun_of__in=ids).order_by("id")
    assert [task.name for task in new] == ["a", "b"]


@pytest.mark.parametrize("data", [{"action": "cancel"}, {"action": "odd", "ids": ["1"]}])
def test_nothing_chosen_is_refused(client, db, data):
    assert client.post("/tasks/bulk/", data, **HTMX).status_code == 400


@pytest.mark.parametrize("verb", ["cancel", "rerun"])
def test_a_viewer_may_not(page_client, viewer_user, submit, verb):
    task = submit()
    answer = page_client(viewer_user).post(f"/tasks/{task.pk}/{verb}/", **HTMX)
    assert answer.status_code == 403
    assert status_of(task) == "waiting"


@pytest.mark.parametrize("action", ["cancel", "rerun"])
def test_a_viewer_may_not_do_it_to_several(page_client, viewer_user, submit, action):
    task = submit()
    data = {"action": action, "ids": [task.pk]}
    assert page_client(viewer_user).post("/tasks/bulk/", data, **HTMX).status_code == 403
    assert Task.objects.count() == 1


@pytest.mark.parametrize("verb", ["cancel", "rerun"])
def test_another_tenants_task_is_not_there(page_client, stranger, submit, verb):
    task = submit()
    answer = page_client(stranger).post(f"/tasks/{task.pk}/{verb}/", **HTMX)
    assert answer.status_code == 404


def test_another_tenants_tasks_are_not_among_the_chosen(page_client, stranger, submit):
    task = submit()
    page_client(stranger).post("/tasks/bulk/", {"action": "cancel", "ids": [task.pk]}, **HTMX)
    assert status_of(task) == "waiting"


@pytest.mark.parametrize("path", ["/tasks/1/cancel/", "/tasks/1/rerun/", "/tasks/bulk/"])
def test_actions_need_a_post(client, path):
    assert client.get(path).status_code == 405


def test_actions_need_the_csrf_token(operator_user, submit):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator_user)
    task = submit()
    assert strict.post(f"/tasks/{task.pk}/cancel/").status_code == 403
    assert status_of(task) == "waiting"
