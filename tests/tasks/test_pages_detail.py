"""A task's page, its drawer and its live part."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from agent_client.protocol import frames
from tasks.logs.files import store
from tasks.models import Task
from tasks.samples import files
from tasks.samples.sample import Sample
from tasks.views.detail import last_lines

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def get(page_client, operator_user):
    """Return a function that opens a path as an operator."""
    client = page_client(operator_user)

    def open_path(path: str, **headers: str) -> str:
        answer = client.get(path, **headers)
        assert answer.status_code == 200
        return answer.content.decode()

    return open_path


def write_log(task: Task, text: str) -> None:
    """Store output of a task."""
    store().append(task.pk, 0, frames.encode(frames.STDERR, 1, text.encode()))


def end_as_failed(task: Task) -> None:
    """Let a task have failed with exit code 3."""
    Task.objects.filter(pk=task.pk).update(status="failed", phase="", reason="exit", exit_code=3)


def test_the_page_has_status_facts_script_and_log(get, submit):
    task = submit(script_content="echo <b>", timeout=90)
    html = get(f"/tasks/{task.pk}/")
    assert f'data-testid="task-status-{task.pk}"' in html
    assert 'data-testid="task-log"' in html
    assert "echo &lt;b&gt;" in html
    assert "1 m 30 s" in html


def test_the_drawer_is_the_same_without_the_frame(get, submit):
    html = get(f"/tasks/{submit().pk}/", **HTMX)
    assert "<html" not in html
    assert 'data-testid="task-log"' in html
    assert "Open as a page" in html


def test_dependencies_are_linked_both_ways(get, submit):
    first = submit(name="first one")
    second = submit(name="second one", depends_on=[first.pk])
    assert f'href="/tasks/{second.pk}/"' in get(f"/tasks/{first.pk}/")
    assert f'href="/tasks/{first.pk}/"' in get(f"/tasks/{second.pk}/")


def test_a_failed_task_has_a_banner_with_cause_and_last_lines(get, submit):
    task = submit()
    end_as_failed(task)
    write_log(task, "fine\nbroken at last\n")
    html = get(f"/tasks/{task.pk}/")
    banner = re.search(r'role="alert">(.*?)</div>', html, re.DOTALL)
    assert banner
    assert "exit code 3" in banner[1]
    assert "broken at last" in banner[1]


def test_a_completed_task_has_no_banner(get, submit):
    task = submit()
    Task.objects.filter(pk=task.pk).update(status="completed", phase="", reason="exit")
    assert "task-banner" not in get(f"/tasks/{task.pk}/")


def test_last_lines_are_as_a_terminal_would_leave_them(submit):
    task = submit()
    write_log(task, "10%\r20%\r\n\x1b[31mred\x1b[0m \x1b]0;title\x07end\n\n")
    assert last_lines(task) == "20%\nred end"


def test_last_lines_are_bounded(submit):
    task = submit()
    write_log(task, "".join(f"line {number}\n" for number in range(50)))
    assert last_lines(task).splitlines() == [f"line {number}" for number in range(44, 50)]


def test_the_timeline_names_the_actor(get, submit, principal):
    html = get(f"/tasks/{submit().pk}/")
    assert "submitted" in html
    assert principal.name in html


def test_the_timeline_calls_the_host_by_its_name(get, submit, host):
    agent = host.agent
    task = submit()
    Task.objects.filter(pk=task.pk).update(agent=agent)
    task.events.create(kind="started", actor=f"agent:{agent.id}", at=timezone.now())
    html = get(f"/tasks/{task.pk}/")
    assert f"agent:{agent.id}" not in html
    assert f'<span class="faint">· {agent.name}</span>' in html


def test_an_unchanged_live_part_is_answered_204(page_client, operator_user, submit):
    client = page_client(operator_user)
    path = f"/tasks/{submit().pk}/live/"
    version = client.get(path, **HTMX).headers["X-Fragment-Version"]
    again = client.get(path, headers={"X-Fragment-Version": version}, **HTMX)
    assert again.status_code == 204


def test_a_changed_live_part_is_sent(page_client, operator_user, submit):
    client = page_client(operator_user)
    task = submit()
    path = f"/tasks/{task.pk}/live/"
    version = client.get(path, **HTMX).headers["X-Fragment-Version"]
    end_as_failed(task)
    again = client.get(path, headers={"X-Fragment-Version": version}, **HTMX)
    assert again.status_code == 200


def test_curves_appear_with_the_second_sample(get, submit):
    task = submit()
    files.append(task.pk, Sample(1, 10.0, 5, 70.0, 900))
    assert "<figure" not in get(f"/tasks/{task.pk}/")
    files.append(task.pk, Sample(3, 250.0, 5, 80.0, 1_000))
    html = get(f"/tasks/{task.pk}/samples/", **HTMX)
    assert html.count("<figure") == 4
    assert "CPU over 2 s: 10 % to 250 %, last 250 %" in html


def test_curves_of_a_running_task_follow_its_host(get, submit, host):
    task = host.run(submit())
    follows = f'data-live="task.{task.pk} agent.{host.agent.pk}"'
    assert follows in get(f"/tasks/{task.pk}/")
    host.finish(task)
    assert follows not in get(f"/tasks/{task.pk}/")


@pytest.mark.parametrize("part", ["", "live/", "samples/"])
def test_another_tenants_task_is_not_there(page_client, stranger, submit, part):
    answer = page_client(stranger).get(f"/tasks/{submit().pk}/{part}")
    assert answer.status_code == 404


def test_a_silent_host_is_said_beside_the_state(get, submit, host):
    task = host.run(submit())
    host.agent.status = "offline"
    host.agent.save()
    html = get(f"/tasks/{task.pk}/")
    assert "unreachable" in html
    assert "is silent" in html


@pytest.mark.parametrize("status", ["waiting", "running", "completed", "failed", "canceled"])
def test_the_page_opens_in_every_state(get, submit, host, status):
    task = submit()
    Task.objects.filter(pk=task.pk).update(status=status, phase="", agent=None, end_time=None)
    assert f"task-status-{task.pk}" in get(f"/tasks/{task.pk}/")
