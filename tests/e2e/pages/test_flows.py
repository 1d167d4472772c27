"""What a day is made of, in a browser: from a template to its log, hosts at work, tenants apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.stack import PASSWORD, Stack

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

BAR = r"for i in $(seq 1 300); do printf '\r %s%% [00:10<01:23]' $i >&2; sleep 0.2; done"


@pytest.fixture
def sign_in(browser: Browser, stack: Stack) -> Iterator[Callable[[str], Page]]:
    """Return a function that signs somebody in, in a browser of their own."""
    contexts = []

    def open_console(name: str) -> Page:
        contexts.append(browser.new_context(base_url=stack.url))
        page = contexts[-1].new_page()
        page.goto("/accounts/login/")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{stack.url}/")
        return page

    yield open_console
    for context in contexts:
        context.close()


def test_a_template_becomes_a_task_whose_log_streams(sign_in, stack: Stack) -> None:
    page = sign_in("admin")
    body = {"name": "Greeting", "script_type": "python", "script_content": "print('good day')"}
    stack.post("/api/v1/templates/", body)
    page.get_by_role("link", name="Templates").click()
    page.get_by_role("link", name="Greeting").click()
    page.get_by_role("link", name=re.compile("New task")).first.click()
    expect(page.locator("code-editor .pce-textarea")).to_have_value("print('good day')")
    page.locator("#id_name").fill("from a template")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/tasks/\d+/$"))
    expect(page.locator(".log-row")).to_have_text(["good day"], timeout=20_000)
    expect(page.locator("[data-log=state]")).to_have_text("complete", timeout=20_000)


def test_the_host_shows_a_task_and_its_progress_while_it_runs(sign_in, stack: Stack) -> None:
    page = sign_in("admin")
    page.goto("/agents/")
    task = stack.submit(BAR, name="with a bar")
    progress = page.get_by_test_id(f"sub-progress-{task}")
    expect(progress).to_contain_text(re.compile(r"\d+ % · 1 m 23 s left"), timeout=20_000)
    stack.post(f"/api/v1/tasks/{task}/cancel/")
    expect(progress).to_have_count(0, timeout=20_000)


def test_curves_appear_while_the_task_runs_and_stay_afterwards(sign_in, stack: Stack) -> None:
    page = sign_in("admin")
    task = stack.submit("sleep 300", name="with curves")
    page.goto(f"/tasks/{task}/")
    curves = page.get_by_test_id("task-samples")
    expect(curves.locator("figure")).to_have_count(2, timeout=20_000)
    page.get_by_test_id(f"task-cancel-{task}").click()
    page.get_by_test_id("confirm-go").click()
    expect(page.get_by_test_id(f"task-status-{task}")).to_have_text("canceled", timeout=20_000)
    expect(curves.get_by_role("img", name=re.compile("^Memory over "))).to_be_visible()


def test_people_of_another_tenant_see_nothing_of_it(sign_in, stack: Stack) -> None:
    tenant = stack.manage("tenant", "Elsewhere")
    stack.manage("user", "steve", "--tenant", "elsewhere", "--password", PASSWORD)
    task = stack.submit("echo secret", name="confidential")
    stack.wait_final(task)
    page = sign_in("steve")
    for path in ("/", "/tasks/", "/agents/", "/search/?q=confidential"):
        page.goto(path)
        expect(page.locator("main")).not_to_contain_text("confidential #")
        assert "host1" not in page.content(), tenant
        assert page.locator(f"a[href='/tasks/{task}/']").count() == 0
    for path in (f"/tasks/{task}/", f"/tasks/{task}/samples/", f"/api/v1/tasks/{task}/log/"):
        assert page.request.get(path).status == 404
    page.goto(f"/tasks/{task}/")
    expect(page.locator("body")).not_to_contain_text("secret")


def test_live_hints_of_another_tenant_do_not_arrive(sign_in, stack: Stack) -> None:
    stack.manage("tenant", "Silent")
    stack.manage("user", "sara", "--tenant", "silent", "--password", PASSWORD)
    theirs, ours = sign_in("sara"), sign_in("admin")
    for page in (theirs, ours):
        page.goto("/tasks/")
        expect(page.locator("html")).to_have_attribute("data-link", "live")
        page.evaluate("window.hints = 0; addEventListener('live:hint', () => window.hints++, true)")
    task = stack.submit("true", name="ours")
    expect(ours.get_by_test_id(f"task-row-{task}")).to_be_visible()
    stack.wait_final(task)
    ours.wait_for_function("window.hints > 0")
    assert theirs.evaluate("window.hints") == 0
