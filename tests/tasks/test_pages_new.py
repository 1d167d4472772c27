"""The new-task form: submission, errors beside fields, the check while typing, the search."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tasks.models import Task
from templates_app.models import Template

HTMX = {"HTTP_HX_REQUEST": "true"}
FILLED = {
    "name": "train",
    "template_type": "own",
    "script_type": "python",
    "script_content": "print(1)\r\nprint(2)\r\n",
    "priority": "2",
    "cpu_cores": "4",
    "gpu_count": "1",
    "gpu_memory": "8192",
    "depends_on": "",
    "agent_id": "",
    "labels": "gpu=a100, zone=lab",
    "timeout": "2h 30m",
    "env": "A=1\r\n# note\r\nB=x=y",
    "working_dir": "/srv",
}


@pytest.fixture
def client(page_client, operator_user, delivered) -> Client:
    """Return an operator's browser."""
    return page_client(operator_user)


def errors_in(html: str, field: str) -> str:
    """Return what stands beside a field."""
    found = re.search(rf'id="id_{field}(?:_\d)?_error"[^>]*>(.*?)</div>', html, re.DOTALL)
    assert found, field
    return re.sub(r"<[^>]+>", "", found[1])


def test_a_full_form_becomes_a_task(client):
    answer = client.post("/tasks/new/", FILLED)
    task = Task.objects.get()
    assert answer.headers["Location"] == f"/tasks/{task.pk}/"
    assert (task.priority, task.cpu_cores, task.gpu_count, task.gpu_memory) == (2, 4, 1, 8192)
    assert task.labels == {"gpu": "a100", "zone": "lab"}
    assert task.env == {"A": "1", "B": "x=y"}
    assert (task.timeout, task.working_dir) == (9000, "/srv")


def test_line_ends_of_the_browser_do_not_reach_the_script(client):
    client.post("/tasks/new/", FILLED)
    assert Task.objects.get().script_content == "print(1)\nprint(2)\n"


def test_htmx_is_sent_to_the_tasks_page(client):
    answer = client.post("/tasks/new/", FILLED, **HTMX)
    assert answer.headers["HX-Redirect"] == f"/tasks/{Task.objects.get().pk}/"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "  ", "Must not be empty"),
        ("template_type", "", "Must not be empty"),
        ("script_content", "", "must not be empty"),
        ("priority", "9", "between 1 and 5"),
        ("cpu_cores", "-1", "between 0"),
        ("cpu_cores", "many", "whole number"),
        ("depends_on", "1, x", "Not a task id: x"),
        ("depends_on", "99", "There is no such task: #99"),
        ("labels", "gpu", "NAME=value"),
        ("env", "no equals", "NAME=value"),
        ("env", "1A=x", "Not a valid variable name"),
        ("timeout", "soon", "length of time"),
        ("working_dir", "here", "absolute path"),
        ("agent_id", "a-unknown", "There is no such agent"),
    ],
)
def test_a_wrong_value_is_said_beside_its_field(client, field, value, sentence):
    answer = client.post("/tasks/new/", {**FILLED, field: value}, **HTMX)
    assert answer.status_code == 422
    assert sentence in errors_in(answer.content.decode(), field)
    assert not Task.objects.exists()


def test_a_script_over_the_limit_is_said_beside_the_editor(client, settings):
    settings.MAX_SCRIPT_BYTES = 10
    answer = client.post("/tasks/new/", {**FILLED, "script_content": "x" * 11})
    assert answer.status_code == 422
    assert "larger than 1 MiB" in errors_in(answer.content.decode(), "script_content")


def test_a_refused_form_keeps_what_was_typed(client):
    html = client.post("/tasks/new/", {**FILLED, "name": ""}).content.decode()
    assert "print(1)" in html
    assert 'value="2h 30m"' in html


def test_the_form_starts_from_a_template(client, tenant):
    template = Template.objects.create(
        tenant=tenant, name="Report", script_type="python", script_content="print('r')"
    )
    html = client.get(f"/tasks/new/?template={template.pk}").content.decode()
    assert "print(&#x27;r&#x27;)" in html
    assert 'language="python"' in html


def test_the_form_starts_from_a_task(client, submit):
    task = submit(name="old one", timeout=5400, env={"A": "1"}, gpu_count=1, gpu_memory=5000)
    html = client.get(f"/tasks/new/?rerun={task.pk}").content.decode()
    assert 'value="old one"' in html
    assert 'value="1h 30m"' in html
    assert '<option value="5000" selected' in html


def test_another_tenants_template_fills_nothing(client, other_tenant):
    template = Template.objects.create(
        tenant=other_tenant, name="Foreign", script_content="secret words"
    )
    html = client.get(f"/tasks/new/?template={template.pk}").content.decode()
    assert "secret words" not in html
    assert "Foreign" not in html


def test_another_tenants_task_fills_nothing(page_client, stranger, submit):
    answer = page_client(stranger).get(f"/tasks/new/?rerun={submit().pk}")
    assert answer.status_code == 404


def test_the_check_tells_where_it_could_start(client, host):
    html = client.post(
        "/tasks/new/check/", {**FILLED, "gpu_count": 0, "gpu_memory": 0, "labels": ""}
    )
    assert "Could start now on box" in html.content.decode()


def test_the_check_tells_why_it_would_wait(client, host):
    data = {**FILLED, "gpu_count": 0, "gpu_memory": 0, "labels": "", "cpu_cores": 99}
    html = client.post("/tasks/new/check/", data).content.decode()
    assert "needs 99 CPU cores" in html
    assert not Task.objects.exists()


def test_the_check_says_what_is_wrong(client):
    html = client.post("/tasks/new/check/", {**FILLED, "cpu_cores": "-1"}).content.decode()
    assert "between 0" in errors_in(html, "cpu_cores")


def test_the_check_needs_no_script_but_its_size(client, host):
    data = {name: value for name, value in FILLED.items() if name != "script_content"}
    html = client.post("/tasks/new/check/", {**data, "script_size": "5"}).content.decode()
    assert not errors_in(html, "script_content")


def test_dependencies_are_found_by_name_and_by_id(client, submit):
    first, second = submit(name="alpha run"), submit(name="beta")
    by_name = client.get("/tasks/new/dependencies/?depends_on=alpha").content.decode()
    assert f'data-dependency="{first.pk}"' in by_name
    assert f'data-dependency="{second.pk}"' not in by_name
    by_id = client.get(f"/tasks/new/dependencies/?depends_on={second.pk}").content.decode()
    assert f'data-dependency="{second.pk}"' in by_id


def test_chosen_dependencies_are_named(client, submit):
    task = submit(name="alpha run")
    html = client.get(f"/tasks/new/dependencies/?depends_on={task.pk}, ").content.decode()
    assert "alpha run" in html
    assert f'data-dependency="{task.pk}"' not in html


def test_foreign_tasks_are_never_suggested(page_client, stranger, submit):
    submit(name="alpha run")
    html = page_client(stranger).get("/tasks/new/dependencies/?depends_on=alpha")
    assert "alpha run" not in html.content.decode()


def test_an_agent_can_be_chosen(client, host):
    client.post("/tasks/new/", {**FILLED, "agent_id": host.agent.pk})
    assert Task.objects.get().wanted_agent_id == host.agent.pk


@pytest.mark.parametrize("path", ["/tasks/new/", "/tasks/new/dependencies/"])
def test_a_viewer_may_not(page_client, viewer_user, path):
    assert page_client(viewer_user).get(path).status_code == 403


def test_markup_in_a_refused_name_is_text(client):
    data = {**FILLED, "name": '"><script>alert(1)</script>', "cpu_cores": "-1"}
    assert "<script>alert(1)" not in client.post("/tasks/new/", data).content.decode()


def test_the_editor_is_named_in_the_readers_language(client):
    html = client.get("/tasks/new/", headers={"Accept-Language": "zh-hans"}).content.decode()
    assert 'aria-label="脚本"' in html
