"""The task list as a page and as a fragment: filters, counts, roles, tenants, queries."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks.models import Task

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def page(page_client, operator_user):
    """Return a function that opens the list with a query and returns its HTML."""
    client = page_client(operator_user)

    def get(query: str = "", **headers: str) -> str:
        answer = client.get(f"/tasks/{query}", **headers)
        assert answer.status_code == 200
        return answer.content.decode()

    return get


def rows_of(html: str) -> list[int]:
    """Return the ids of the rows in order."""
    return [int(number) for number in re.findall(r'data-testid="task-row-(\d+)"', html)]


def count_of(html: str, status: str) -> int:
    """Return the figure on a status chip."""
    found = re.search(rf'id="count-{status}"[^>]*>(\d+)<', html)
    assert found
    return int(found[1])


def test_the_list_shows_the_newest_first(page, submit):
    first, second = submit(name="first"), submit(name="second")
    assert rows_of(page()) == [second.pk, first.pk]


def test_the_first_visit_says_what_to_do(page):
    html = page()
    assert "Nothing was submitted yet" in html
    assert "No agent is enrolled yet" in html


def test_filters_combine(page, submit):
    wanted = submit(name="train a", script_content="python train.py", priority=1)
    submit(name="train b", script_content="true", priority=1)
    submit(name="other", script_content="python train.py", priority=1)
    assert rows_of(page("?name=train&script=TRAIN.PY&priority=1")) == [wanted.pk]


def test_several_states_are_shown_together(page, submit):
    blocked_by = submit()
    blocked = submit(depends_on=[blocked_by.pk])
    ended = submit()
    Task.objects.filter(pk=ended.pk).update(status="failed", phase="")
    assert rows_of(page("?status=blocked&status=failed")) == [ended.pk, blocked.pk]


def test_chips_count_what_the_other_filters_leave(page, submit):
    submit(name="alpha")
    submit(name="beta")
    html = page("?name=alpha&status=failed")
    assert (count_of(html, "waiting"), count_of(html, "failed")) == (1, 0)


def test_the_result_count_is_announced(page, submit):
    submit(name="alpha")
    other = submit(name="beta")
    Task.objects.filter(pk=other.pk).update(status="failed", phase="")
    assert re.search(r'id="task-count"[^>]*aria-live="polite">1 of 2<', page("?status=failed"))


def test_no_match_offers_the_way_back(page, submit):
    submit()
    assert "No task matches these filters" in page("?name=nothing-like-it")


@pytest.mark.parametrize("query", ["?status=odd", "?priority=x", "?page=zz", "?ordering=password"])
def test_a_wrong_value_filters_nothing(page, submit, query):
    task = submit()
    assert rows_of(page(query)) == [task.pk]


def test_htmx_gets_the_table_and_the_counts_only(page, submit):
    submit()
    html = page(**HTMX)
    assert "<html" not in html
    assert 'id="count-waiting" hx-swap-oob="true"' in html


def test_a_waiting_row_says_why(page, submit, host):
    submit(cpu_cores=9)
    assert "needs 9 CPU cores" in page()


def test_a_running_row_shows_progress_and_time_left(page, submit, host):
    task = host.run(submit())
    Task.objects.filter(pk=task.pk).update(progress={"percent": 58.2, "eta_seconds": 2280})
    html = page()
    assert "58 %" in html
    assert "38 m left" in html


def test_markup_in_a_name_is_text(page, submit):
    submit(name="<script>alert(1)</script>")
    assert "<script>alert(1)" not in page()


def test_a_viewer_has_no_actions(page_client, viewer_user, submit):
    task = submit()
    html = page_client(viewer_user).get("/tasks/").content.decode()
    assert rows_of(html) == [task.pk]
    assert "task-cancel" not in html
    assert 'id="bulk"' not in html
    assert 'href="/tasks/new/"' not in html


def test_a_stranger_sees_none_of_it(page_client, stranger, submit):
    submit(name="secret name")
    assert "secret name" not in page_client(stranger).get("/tasks/").content.decode()


def test_nobody_is_sent_to_the_login(client, db):
    assert client.get("/tasks/").headers["Location"].startswith("/accounts/login/")


def test_the_number_of_queries_does_not_grow_with_the_rows(page, submit, host):
    first = submit()
    host.run(submit())
    submit(cpu_cores=99)
    submit(depends_on=[first.pk])
    page()
    with CaptureQueriesContext(connection) as few:
        page()
    for _ in range(8):
        submit(depends_on=[first.pk])
        submit()
    with CaptureQueriesContext(connection) as many:
        page()
    assert len(many) <= len(few)


def test_a_long_list_is_paged(page, submit, monkeypatch):
    monkeypatch.setattr("tasks.page_filter.PAGE_SIZE", 2)
    tasks = [submit() for _ in range(3)]
    assert rows_of(page("?page=2&priority=3")) == [tasks[0].pk]
    assert 'href="?priority=3&amp;page=2"' in page("?priority=3")
