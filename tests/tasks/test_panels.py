"""What the queue shows on the overview and on the page of a host."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Agent
from dialer_platform.accounts.principal import principal_for
from tasks import panels
from tasks.models import Task


@pytest.fixture
def make(tenant):
    """Return a function that makes a task as it stands in the database."""

    def create(status: str = "waiting", **fields) -> Task:
        facts = {"name": "tidy", "template_type": "ops", "script_content": "true"}
        facts["phase"] = {"waiting": "queued", "running": "running"}.get(status, "")
        if status in {"failed", "completed", "canceled"}:
            facts["end_time"] = timezone.now()
        return Task.objects.create(tenant=tenant, status=status, **{**facts, **fields})

    return create


@pytest.fixture
def host(tenant) -> Agent:
    """Return a silent host."""
    return Agent.objects.create(tenant=tenant, name="box3", status="offline")


def names(panel) -> list[str]:
    """Return the names of a panel's rows."""
    return [task.name for task in panel["tasks"]]


def test_numbers_count_what_is_open_and_what_ended_today(make, principal):
    make("running")
    make("waiting")
    make("blocked")
    make("completed")
    make("failed")
    make("failed", end_time=timezone.now() - timedelta(hours=25))
    assert panels.stats(principal, None) == {
        "running": 1,
        "waiting": 1,
        "blocked": 1,
        "failed": 1,
        "completed": 1,
    }


def test_failed_task_needs_no_attention_once_it_was_submitted_again(make, principal):
    failed = make("failed")
    assert panels.count_failed(principal) == 1
    make("waiting", rerun_of=failed)
    assert panels.count_failed(principal) == 0


def test_attention_names_tasks_on_silent_hosts_first(make, principal, host):
    make("failed", name="broken")
    make("running", name="lost", agent=host)
    found = panels.attention(principal, None)
    assert names(found) == ["lost", "broken"]
    assert "box3" in found["sentences"][found["tasks"][0].pk]


def test_attention_is_bounded_and_says_how_many_more(make, principal, monkeypatch):
    monkeypatch.setattr(panels, "ROWS", 2)
    for _ in range(5):
        make("failed")
    found = panels.attention(principal, None)
    assert (len(found["tasks"]), found["more"]) == (2, 3)


def test_waiting_comes_in_the_order_of_starting_and_blocked_last(make, principal):
    make("blocked", name="blocked", priority=1)
    make("waiting", name="normal")
    make("waiting", name="urgent", priority=1)
    found = panels.waiting(principal, None)
    assert names(found) == ["urgent", "normal", "blocked"]
    assert all(found["sentences"][task.pk] for task in found["tasks"][:2])


def test_recent_ends_come_newest_first(make, principal):
    make("completed", name="old", end_time=timezone.now() - timedelta(hours=1))
    make("canceled", name="new")
    assert names(panels.recent(principal, None)) == ["new", "old"]


def test_page_of_a_host_shows_its_tasks_alone(make, principal, host):
    make("completed", name="mine", agent=host)
    make("completed", name="other")
    assert names(panels.on_agent(principal, host)) == ["mine"]


@pytest.mark.parametrize("read", [panels.attention, panels.running, panels.waiting, panels.recent])
def test_panels_show_nothing_of_another_tenant(make, stranger, read):
    for status in ("failed", "running", "waiting", "completed"):
        make(status)
    assert names(read(principal_for(stranger), None)) == []


def test_script_words_are_searched_in_the_newest_tasks_only(make, principal, monkeypatch):
    monkeypatch.setattr(panels, "SEARCHED_SCRIPTS", 1)
    make(script_content="needle")
    newest = make(script_content="needle too")
    assert [hit.url for hit in panels.find(principal, "needle", 9)] == [newest.get_absolute_url()]


@pytest.mark.parametrize("words", ["#999999999999999999999", "９", "#", "%"])
def test_odd_words_find_nothing_and_break_nothing(make, principal, words):
    make()
    assert list(panels.find(principal, words, 9)) == []


def test_figures_name_every_open_state(make):
    make("running")
    assert panels.count_by_status() == {"blocked": 0, "waiting": 0, "running": 1}


def test_progress_is_that_of_running_tasks(make):
    running = make("running", progress={"percent": 42.0})
    ended = make("completed", progress={"percent": 100.0})
    assert panels.progress_of([running.pk, ended.pk]) == {running.pk: {"percent": 42.0}}
