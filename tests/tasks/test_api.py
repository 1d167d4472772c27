"""REST of tasks: every endpoint's answer, its errors, and who may call it."""

from __future__ import annotations

import pytest

from agent_client.protocol.frames import STDERR, STDOUT
from tasks.choices import CANCELING
from tasks.logs.files import store
from tasks.models import Task
from tasks.samples import files
from tasks.samples.sample import Sample
from tests.tasks.conftest import FIELDS, content_of, fresh

pytestmark = pytest.mark.django_db

URL = "/api/v1/tasks/"
S1_FIELDS = {
    "id",
    "name",
    "template_type",
    "priority",
    "depends_on",
    "status",
    "created_time",
    "script_content",
    "cpu_cores",
    "gpu_count",
    "gpu_memory",
    "start_time",
    "end_time",
    "execution_time",
    "agent_id",
    "log_file",
    "script_type",
    "timeout",
    "env",
    "exit_code",
    "phase",
    "reason",
    "waiting_reason",
    "signal",
    "progress",
    "log_bytes",
    "log_truncated_bytes",
    "unkillable",
    "rerun_of",
    "created_by",
    "tenant",
}


@pytest.fixture
def client(api_client, admin_user, delivered):
    return api_client(admin_user)


@pytest.fixture
def viewer(api_client, viewer_user):
    return api_client(viewer_user)


@pytest.fixture
def foreign(api_client, stranger):
    return api_client(stranger)


def post(client, url: str = URL, body: object = None, **headers: str):
    return client.post(url, FIELDS if body is None else body, format="json", **headers)


def patch(client, task: Task, body: object):
    return client.patch(f"{URL}{task.pk}/", body, format="json")


# --- submit -------------------------------------------------------------------


def test_submit_answers_201_with_the_task(client, host):
    answer = post(client)
    assert answer.status_code == 201
    body = answer.json()
    assert S1_FIELDS | {"stdout", "stderr"} <= body.keys()
    assert (body["status"], body["phase"], body["agent_id"]) == (
        "waiting",
        "offered",
        host.agent.pk,
    )
    assert (body["created_by"], body["tenant"]) == ("alice", "default")


def test_submit_names_the_wrong_field(client):
    answer = post(client, body={**FIELDS, "priority": 9})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert list(answer.json()["fields"]) == ["priority"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**FIELDS, "agent_id": "a-nobody"}, 404),
        ({**FIELDS, "script_content": "x" * (1024 * 1024 + 1)}, 413),
        ({**FIELDS, "depends_on": [424_242]}, 400),
        ([], 400),
        ("text", 400),
        ([FIELDS], 400),
    ],
)
def test_submit_refuses_with_the_right_status(client, body, status):
    answer = post(client, body=body)
    assert answer.status_code == status
    assert answer.json().keys() == {"code", "detail", "fields"}
    assert not Task.objects.exists()


def test_submit_refuses_a_broken_body(client):
    answer = client.post(URL, b"{", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


def test_submit_says_that_no_agent_could_ever_run_it(client, host):
    body = post(client, body={**FIELDS, "cpu_cores": 512}).json()
    assert body["waiting_reason"].startswith("No known agent could ever run it")


def test_submit_is_idempotent_by_key(client):
    first = post(client, HTTP_IDEMPOTENCY_KEY="k1")
    again = post(client, HTTP_IDEMPOTENCY_KEY="k1")
    other = post(client, body={**FIELDS, "name": "x"}, HTTP_IDEMPOTENCY_KEY="k1")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert other.status_code == 409


def test_submit_by_form_works_for_the_browsable_page(client):
    answer = client.post(URL, {**FIELDS, "priority": "2"})
    assert (answer.status_code, answer.json()["priority"]) == (201, 2)


def test_batch_answers_the_tasks_in_order(client):
    answer = post(client, URL + "batch/", [{**FIELDS, "name": name} for name in "abc"])
    assert answer.status_code == 201
    assert [task["name"] for task in answer.json()] == ["a", "b", "c"]


def test_batch_is_all_or_nothing(client):
    answer = post(client, URL + "batch/", [FIELDS, {**FIELDS, "name": ""}])
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["1.name"]
    assert not Task.objects.exists()


# --- read ---------------------------------------------------------------------


def test_list_is_paged_newest_first(client, submit):
    ids = [submit().pk for _ in range(3)]
    body = client.get(URL, {"page_size": 2}).json()
    assert (body["count"], [task["id"] for task in body["results"]]) == (3, ids[:0:-1])
    assert "page=2" in body["next"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"status": "waiting"}, {"alpha", "beta"}),
        ({"status": "waiting,canceled"}, {"alpha", "beta", "gamma"}),
        ({"status": ["waiting", "canceled"]}, {"alpha", "beta", "gamma"}),
        ({"name": "ALPH"}, {"alpha"}),
        ({"template_type": "python"}, {"beta"}),
        ({"script": "needle"}, {"gamma"}),
        ({"priority": 1}, {"alpha"}),
        ({"agent_id": "a-nobody"}, set()),
        ({"created_after": "2001-01-01T00:00:00Z"}, {"alpha", "beta", "gamma"}),
        ({"created_before": "2001-01-01T00:00:00Z"}, set()),
        ({"status": "waiting", "priority": 1, "name": "a"}, {"alpha"}),
    ],
)
def test_filters_combine(client, submit, query, names):
    submit(name="alpha", priority=1)
    submit(name="beta", template_type="python")
    gamma = submit(name="gamma", script_content="echo needle")
    post(client, f"{URL}{gamma.pk}/cancel/", {})
    found = client.get(URL, query).json()["results"]
    assert {task["name"] for task in found} == names


def test_filter_by_agent_finds_given_and_named(client, host, submit):
    given, named = submit(), submit(agent_id=host.agent.pk, cpu_cores=99)
    body = client.get(URL, {"agent_id": host.agent.pk}).json()
    assert {task["id"] for task in body["results"]} == {given.pk, named.pk}


@pytest.mark.parametrize(
    "query",
    [
        {"status": "odd"},
        {"created_after": "soon"},
        {"created_after": "0001-01-01T00:00:00+14:00"},
        {"created_before": "9999-12-31T23:59:59-14:00"},
    ],
)
def test_wrong_filter_is_refused(client, query):
    answer = client.get(URL, query)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, list(query))


def test_list_can_be_ordered(client, submit):
    ids = [submit(priority=number).pk for number in (3, 1, 2)]
    found = client.get(URL, {"ordering": "priority"}).json()["results"]
    assert [task["id"] for task in found] == [ids[1], ids[2], ids[0]]


def test_list_costs_the_same_queries_for_one_and_for_many(
    client, host, submit, django_assert_max_num_queries
):
    first = submit()
    for _ in range(15):
        submit(depends_on=[first.pk])
        submit(cpu_cores=99)
    with django_assert_max_num_queries(12):
        assert len(client.get(URL).json()["results"]) == 31


def test_shown_tasks_hold_no_more_of_their_host_than_is_shown(client, host, submit):
    submit()
    agent = Task.objects.shown().get().agent
    assert {"system", "resources", "token_sha256"} <= agent.get_deferred_fields()
    assert client.get("/api/v1/tasks/").json()["results"][0]["agent_id"] == agent.id


def test_detail_shows_the_ends_of_both_streams(client, host, submit):
    task = host.run(submit())
    store().append_stream(task.pk, STDOUT, 0, b"x" * 70_000 + b"end")
    store().append_stream(task.pk, STDERR, 0, b"oops \xff")
    body = client.get(f"{URL}{task.pk}/").json()
    assert (len(body["stdout"]), body["stdout"][-3:]) == (64 * 1024, "end")
    assert body["stderr"] == "oops �"
    assert body["log_bytes"] == 70_009


def test_failed_task_says_its_exit_code(client, host, submit):
    task = host.run(submit())
    host.finish(task, exit_code=3)
    body = client.get(f"{URL}{task.pk}/").json()
    assert (body["status"], body["exit_code"], body["reason"]) == ("failed", 3, "exit")
    assert "3" in body["waiting_reason"]


def test_unknown_task_is_not_found(client):
    answer = client.get(f"{URL}424242/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# --- change, cancel, rerun ----------------------------------------------------


def test_patch_changes_and_answers_the_task(client, submit):
    task = submit()
    answer = patch(client, task, {"priority": 1})
    assert (answer.status_code, answer.json()["priority"]) == (200, 1)


def test_patch_with_a_circle_is_refused(client, submit):
    first = submit()
    second = submit(depends_on=[first.pk])
    answer = patch(client, first, {"depends_on": [second.pk]})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["depends_on"])


def test_cancel_answers_202_and_then_409(client, submit):
    task = submit()
    assert client.post(f"{URL}{task.pk}/cancel/").status_code == 202
    answer = client.post(f"{URL}{task.pk}/cancel/")
    assert (answer.status_code, answer.json()["code"]) == (409, "task_ended")


def test_cancel_of_a_running_task_answers_202_while_it_stops(client, host, submit):
    task = host.run(submit())
    for _ in range(2):
        answer = client.post(f"{URL}{task.pk}/cancel/")
        assert (answer.status_code, answer.json()["phase"]) == (202, "canceling")
    assert fresh(task).state == CANCELING


@pytest.mark.parametrize("accept", ["text/plain", "application/xml", "*/*"])
def test_log_is_text_and_an_error_json_whatever_is_accepted(client, submit, accept):
    log = client.get(f"{URL}{submit().pk}/log/", headers={"Accept": accept})
    error = client.get(f"{URL}999/log/", headers={"Accept": accept})
    assert (log.status_code, error.status_code) == (200, 404)
    assert log["Content-Type"].startswith("text/plain")
    assert error["Content-Type"] == "application/json"


@pytest.mark.parametrize("number", [2**63, -1, 1.5, True, "1", None])
def test_cancel_batch_refuses_what_is_no_id(client, submit, number):
    answer = post(client, URL + "cancel_batch/", {"ids": [submit().pk, number]})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["ids"])


def test_cancel_batch_answers_202(client, submit):
    ids = [submit().pk for _ in range(2)]
    answer = post(client, URL + "cancel_batch/", {"ids": ids})
    assert answer.status_code == 202
    assert {task["status"] for task in answer.json()} == {"canceled"}


def test_rerun_answers_201_with_the_new_task(client, submit):
    task = submit()
    answer = client.post(f"{URL}{task.pk}/rerun/")
    assert answer.status_code == 201
    assert answer.json()["rerun_of"] == task.pk


@pytest.mark.parametrize("method", ["delete", "put"])
def test_tasks_are_never_deleted_or_replaced(client, submit, method):
    task = submit()
    answer = getattr(client, method)(f"{URL}{task.pk}/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert Task.objects.filter(pk=task.pk).exists()


# --- logs ---------------------------------------------------------------------


@pytest.fixture
def logged(host, submit) -> Task:
    """Return a running task that wrote to both streams."""
    task = host.run(submit())
    for stream, offset, data in [
        (STDOUT, 0, b"one\n"),
        (STDERR, 0, b"two\n"),
        (STDOUT, 4, b"three\n"),
    ]:
        store().append_stream(task.pk, stream, offset, data)
    return task


@pytest.mark.parametrize(
    ("query", "data", "offset", "size"),
    [
        ({}, b"one\ntwo\nthree\n", 0, 14),
        ({"offset": 4, "limit": 3}, b"two", 4, 14),
        ({"stream": "stdout"}, b"one\nthree\n", 0, 10),
        ({"stream": "stdout", "offset": 4}, b"three\n", 4, 10),
        ({"stream": "stderr"}, b"two\n", 0, 4),
        ({"tail": 6}, b"three\n", 8, 14),
        ({"tail": 99}, b"one\ntwo\nthree\n", 0, 14),
        ({"offset": 99}, b"", 99, 14),
        ({"limit": 0}, b"", 0, 14),
    ],
)
def test_log_is_read_by_offset(client, logged, query, data, offset, size):
    answer = client.get(f"{URL}{logged.pk}/log/", query)
    assert (answer.status_code, answer.content) == (200, data)
    assert answer["Content-Type"].startswith("text/plain")
    assert (answer["X-Log-Offset"], answer["X-Log-Size"]) == (str(offset), str(size))
    assert answer["X-Log-Complete"] == "false"


def test_log_is_complete_when_the_end_is_stored(client, host, logged):
    host.finish(logged, log_bytes=15)
    assert client.get(f"{URL}{logged.pk}/log/")["X-Log-Complete"] == "false"
    store().append_stream(logged.pk, STDERR, 4, b"!")
    assert client.get(f"{URL}{logged.pk}/log/")["X-Log-Complete"] == "true"


def test_log_of_a_task_that_never_ran_is_empty(client, submit):
    answer = client.get(f"{URL}{submit().pk}/log/")
    assert (answer.status_code, answer.content, answer["X-Log-Size"]) == (200, b"", "0")


def test_log_is_downloaded_whole(client, logged):
    answer = client.get(f"{URL}{logged.pk}/log/", {"download": "1"})
    assert content_of(answer) == b"one\ntwo\nthree\n"
    assert answer["Content-Disposition"] == f'attachment; filename="task-{logged.pk}.log"'
    assert answer["Content-Length"] == "14"


@pytest.mark.parametrize(
    "query", [{"offset": "-1"}, {"offset": "x"}, {"limit": "1e3"}, {"stream": "x"}, {"tail": "-"}]
)
def test_log_refuses_wrong_parameters(client, logged, query):
    answer = client.get(f"{URL}{logged.pk}/log/", query)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, list(query))


# --- samples ------------------------------------------------------------------


def test_samples_are_answered_oldest_first(client, submit):
    task = submit()
    files.append(task.pk, Sample(1, 10.0, 5))
    files.append(task.pk, Sample(3, 20.5, 6, 80.0, 1_000))
    body = client.get(f"{URL}{task.pk}/samples/").json()
    assert (body["task_id"], [one["cpu_usage"] for one in body["samples"]]) == (task.pk, [10, 20.5])
    assert body["samples"][0] == {
        "time": 1,
        "cpu_usage": 10.0,
        "memory_bytes": 5,
        "gpu_usage": None,
        "gpu_memory_mb": None,
    }


def test_task_that_never_ran_has_no_samples(client, submit):
    assert client.get(f"{URL}{submit().pk}/samples/").json()["samples"] == []


# --- who may ------------------------------------------------------------------

READS = ["{id}/", "{id}/log/", "{id}/samples/"]
WRITES = ["{id}/cancel/", "{id}/rerun/"]


@pytest.mark.parametrize("path", READS + WRITES)
def test_task_of_another_tenant_does_not_exist(foreign, submit, path):
    url = URL + path.format(id=submit().pk)
    answer = foreign.get(url) if path in READS else foreign.post(url)
    assert answer.status_code == 404


def test_stranger_sees_an_empty_list_and_cannot_cancel_by_batch(foreign, submit):
    task = submit()
    assert foreign.get(URL).json()["count"] == 0
    assert post(foreign, URL + "cancel_batch/", {"ids": [task.pk]}).status_code == 404
    assert post(foreign, body={**FIELDS, "depends_on": [task.pk]}).status_code == 400
    assert fresh(task).status == "waiting"


@pytest.mark.parametrize("path", ["", "batch/", "cancel_batch/", *WRITES])
def test_viewer_may_not_write(viewer, submit, path):
    url = URL + path.format(id=submit().pk)
    answer = post(viewer, url, {})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_viewer_may_not_change(viewer, submit):
    assert patch(viewer, submit(), {}).status_code == 403


@pytest.mark.parametrize("path", ["", *READS])
def test_viewer_may_read(viewer, submit, path):
    assert viewer.get(URL + path.format(id=submit().pk)).status_code == 200


def test_operator_may_submit(api_client, operator_user, delivered):
    assert post(api_client(operator_user)).status_code == 201


@pytest.mark.parametrize("path", ["", *READS])
def test_nobody_may_read_without_signing_in(client, submit, path):
    client.logout()
    assert client.get(URL + path.format(id=submit().pk)).status_code == 401
