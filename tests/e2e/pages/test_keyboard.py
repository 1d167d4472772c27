"""The daily flows with the keyboard alone: nothing is out of reach, the focus is never lost."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.stack import PASSWORD, Stack

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

MAX_STEPS = 80
BAR = r"for i in $(seq 1 300); do printf '\r %s%%' $i >&2; sleep 0.2; done"
WITHIN = "at => document.activeElement.matches(`body, ${at}, ${at} *`)"


@pytest.fixture
def console(browser: Browser, stack: Stack, signed_in) -> Iterator[Page]:
    """Return a signed-in page."""
    context = browser.new_context(base_url=stack.url, storage_state=signed_in)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def tab_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Walk with the Tab key until the element has the focus."""
    for _step in range(MAX_STEPS):
        page.keyboard.press(key)
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"not within {MAX_STEPS} steps: {wanted}")


def press_on(page: Page, wanted: Locator, key: str = "Enter") -> None:
    """Walk to an element and press a key there."""
    tab_to(page, wanted)
    page.keyboard.press(key)


def test_signing_in_needs_no_mouse(browser: Browser, stack: Stack) -> None:
    page = browser.new_page(base_url=stack.url)
    page.goto("/tasks/")
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{stack.url}/tasks/")
    page.context.close()


def test_first_step_skips_to_the_content(console: Page) -> None:
    console.goto("/tasks/")
    console.keyboard.press("Tab")
    expect(console.locator(".skip-link")).to_be_focused()
    expect(console.locator(".skip-link")).to_be_in_viewport()
    console.keyboard.press("Enter")
    expect(console.locator("#main")).to_be_focused()
    press_on(console, console.locator(".page-head .actions a"))
    expect(console).to_have_url(re.compile("/tasks/new/$"))


def test_every_stop_of_the_tab_key_is_visible(console: Page) -> None:
    console.goto("/tasks/")
    for _step in range(20):
        console.keyboard.press("Tab")
        outline = console.evaluate(
            """() => {
                 const shown = (one) => one && getComputedStyle(one).outlineStyle !== "none";
                 const active = document.activeElement;
                 return active === document.body || shown(active) || shown(active.parentElement);
               }"""
        )
        assert outline, console.evaluate("document.activeElement.outerHTML")


def test_a_task_is_submitted_and_the_editor_is_no_trap(console: Page) -> None:
    console.goto("/tasks/new/")
    tab_to(console, console.locator("#id_name"))
    console.keyboard.type("typed")
    tab_to(console, console.locator("#id_template_type"))
    console.keyboard.type("check")
    tab_to(console, console.locator("code-editor .pce-textarea"))
    console.keyboard.type("echo typed")
    console.keyboard.press("Control+m")
    press_on(console, console.get_by_role("button", name="Run"))
    console.wait_for_url(re.compile(r"/tasks/\d+/$"))
    expect(console.locator(".log-row").first).to_have_text("typed", timeout=20_000)


def test_canceling_in_the_drawer_gives_the_focus_back(console: Page, stack: Stack) -> None:
    task = stack.submit("sleep 300", name="long sleep")
    stack.wait_status(task, "running")
    console.goto("/tasks/")
    link = console.locator(f"#task-row-{task} a.name")
    press_on(console, link)
    expect(console.locator("#drawer .log-frame")).to_be_visible()
    press_on(console, console.locator("#drawer").get_by_test_id(f"task-cancel-{task}"))
    expect(console.get_by_role("button", name="No, leave it")).to_be_focused()
    press_on(console, console.get_by_test_id("confirm-go"))
    status = console.locator("#drawer").get_by_test_id(f"task-status-{task}")
    expect(status).to_have_text("canceled", timeout=20_000)
    console.keyboard.press("Escape")
    expect(console.locator("#drawer")).not_to_be_visible()
    expect(link).to_be_focused()


def test_escape_answers_no_and_returns_to_the_button(console: Page, stack: Stack) -> None:
    task = stack.submit("sleep 300", name="kept")
    stack.wait_status(task, "running")
    console.goto(f"/tasks/{task}/")
    button = console.get_by_test_id(f"task-cancel-{task}")
    press_on(console, button)
    expect(console.locator("#confirm")).to_be_visible()
    console.keyboard.press("Escape")
    expect(console.locator("#confirm")).not_to_be_visible()
    expect(button).to_be_focused()
    assert stack.task(task)["status"] == "running"


def test_focus_stays_in_the_open_drawer(console: Page, stack: Stack) -> None:
    task = stack.submit("true", name="short")
    console.goto("/tasks/")
    press_on(console, console.locator(f"#task-row-{task} a.name"))
    expect(console.locator("#drawer .log-frame")).to_be_visible()
    for _step in range(40):
        console.keyboard.press("Tab")
        assert console.evaluate(WITHIN, "#drawer")


def test_focus_stays_on_a_button_that_is_refreshed(console: Page, stack: Stack) -> None:
    task = stack.submit(BAR, name="with a bar")
    stack.wait_status(task, "running")
    console.goto(f"/tasks/{task}/")
    button = console.get_by_test_id(f"task-cancel-{task}")
    tab_to(console, button)
    for _refresh in range(2):
        console.wait_for_function("one => !one.isConnected", arg=button.element_handle())
        expect(button).to_be_focused()


def test_filters_are_set_and_cleared_with_the_keyboard(console: Page, stack: Stack) -> None:
    task = stack.submit("true", name="filtered by keys", priority=1)
    stack.submit("true", name="another")
    console.goto("/tasks/")
    press_on(console, console.locator("#status-completed"), "Space")
    tab_to(console, console.locator("#filter-name"))
    console.keyboard.type("keys")
    tab_to(console, console.locator("#filter-priority"))
    console.keyboard.type("1")
    expect(console).to_have_url(re.compile(r"status=completed&name=keys.*priority=1"))
    expect(console.locator("#task-list tbody tr")).to_have_count(1, timeout=20_000)
    expect(console.get_by_test_id(f"task-row-{task}")).to_be_visible()
    expect(console.locator("#filter-priority")).to_be_focused()
    press_on(console, console.locator("#filters-clear"))
    expect(console).to_have_url(re.compile("/tasks/$"))
