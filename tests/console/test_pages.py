"""Overview, navigation, search, login and error pages."""

from __future__ import annotations

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from agents.models import Agent
from tasks.models import Task
from templates_app.models import Template

HTMX = {"HX-Request": "true"}


@pytest.fixture
def host(tenant) -> Agent:
    """Return a host that is silent."""
    return Agent.objects.create(tenant=tenant, name="box3", cpu_cores=4, slots=2)


def make_task(tenant, **fields) -> Task:
    """Return a task of the tenant."""
    facts = {"name": "tidy up", "template_type": "ops", "script_content": "echo needle"}
    return Task.objects.create(tenant=tenant, **{**facts, **fields})


def test_overview_says_that_all_is_well_when_it_is(page_client, viewer_user):
    html = page_client(viewer_user).get("/").content.decode()
    assert "All is well" in html
    assert "Nothing is running." in html


def test_overview_names_what_needs_attention(page_client, viewer_user, tenant, host):
    make_task(
        tenant, status="failed", phase="", reason="exit", exit_code=3, end_time=timezone.now()
    )
    html = page_client(viewer_user).get("/").content.decode()
    assert html.index("Needs attention") < html.index("tidy up")
    assert "box3" in html


def test_overview_says_why_a_task_waits(page_client, viewer_user, tenant):
    make_task(tenant)
    html = page_client(viewer_user).get("/").content.decode()
    assert html.count("tidy up") == 1
    assert 'class="why' in html


def test_overview_escapes_names(page_client, viewer_user, tenant):
    make_task(tenant, name="<script>alert(1)</script>")
    assert b"<script>alert" not in page_client(viewer_user).get("/").content


def test_overview_shows_nothing_of_another_tenant(page_client, stranger, tenant, host):
    make_task(tenant)
    html = page_client(stranger).get("/").content.decode()
    assert "tidy up" not in html
    assert "box3" not in html


def test_overview_is_a_fragment_for_htmx_and_a_204_when_unchanged(page_client, viewer_user):
    client = page_client(viewer_user)
    first = client.get("/", headers=HTMX)
    assert first.content.lstrip().startswith(b'<div id="overview"')
    again = client.get(
        "/", headers=HTMX | {"X-Fragment-Version": first.headers["X-Fragment-Version"]}
    )
    assert again.status_code == 204


def test_overview_costs_the_same_for_one_task_and_many(
    page_client, viewer_user, tenant, host, django_assert_max_num_queries
):
    for number in range(12):
        make_task(tenant, name=f"task {number}")
    client = page_client(viewer_user)
    client.get("/")
    with django_assert_max_num_queries(45):
        client.get("/")


def test_navigation_marks_the_page_and_counts_what_is_wrong(page_client, viewer_user, host):
    html = page_client(viewer_user).get("/nav/?path=/agents/", headers=HTMX).content.decode()
    assert html.count("aria-current") == 1
    assert '<b class="count" title="offline">1' in html


def test_buttons_follow_the_role(page_client, viewer_user, operator_user):
    assert b"/tasks/new/" not in page_client(viewer_user).get("/").content.split(b"Ended last")[0]
    assert b"/tasks/new/" in page_client(operator_user).get("/").content


def test_search_finds_tasks_agents_and_templates(page_client, viewer_user, tenant, host):
    Template.objects.create(tenant=tenant, name="box sweep", script_content="true")
    make_task(tenant, name="in a box")
    html = page_client(viewer_user).get("/search/?q=box", headers=HTMX).content.decode()
    assert all(name in html for name in ("box3", "box sweep", "in a box"))


@pytest.mark.parametrize("words", ["needle", "tidy", "#{pk}", "{pk}"])
def test_search_finds_a_task_by_script_name_and_id(page_client, viewer_user, tenant, words):
    task = make_task(tenant)
    response = page_client(viewer_user).get("/search/", {"q": words.format(pk=task.pk)})
    assert task.get_absolute_url() in response.content.decode()


def test_search_finds_nothing_of_another_tenant(page_client, stranger, tenant, host):
    make_task(tenant)
    html = page_client(stranger).get("/search/?q=tidy").content.decode()
    assert "/tasks/1" not in html
    assert "Nothing matches" in html


def test_search_page_asks_for_words_when_there_are_none(page_client, viewer_user):
    assert b"What are you looking for?" in page_client(viewer_user).get("/search/?q=+").content


def test_language_switch_turns_the_page_chinese(page_client, viewer_user):
    client = page_client(viewer_user)
    client.post("/i18n/setlang/", {"language": "zh-hans", "next": "/"})
    html = client.get("/").content.decode()
    assert '<html lang="zh-hans">' in html
    assert "概览" in html


def test_login_page_is_open_and_has_no_frame(client, db):
    html = client.get("/accounts/login/").content.decode()
    assert 'data-testid="login-form"' in html
    assert 'class="side"' not in html


def test_wrong_password_is_said_beside_the_form(client, viewer_user):
    data = {"username": "vera", "password": "wrong"}
    html = client.post("/accounts/login/", data).content.decode()
    assert 'role="alert"' in html
    assert 'value="vera"' in html


def test_missing_page_leads_back(page_client, viewer_user):
    response = page_client(viewer_user).get("/no/such/page/")
    assert response.status_code == 404
    assert b"There is nothing here" in response.content


def test_crash_page_needs_no_context(db):
    assert "Something went wrong" in render_to_string("500.html")


def test_tenants_are_offered_only_to_members_of_several(
    page_client, superuser, viewer_user, other_tenant
):
    assert b"/accounts/tenant/" in page_client(superuser).get("/").content
    assert b"/accounts/tenant/" not in page_client(viewer_user).get("/").content


def test_favicon_leads_everybody_to_the_mark(client):
    answer = client.get("/favicon.ico")
    assert answer.headers["Location"].endswith("img/mark.svg")
