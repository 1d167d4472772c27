"""The console's frame, agents and templates in a browser against a real server and agent."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.stack import PASSWORD, Stack

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

PAGES = ("/", "/agents/", "/templates/", "/templates/new/", "/templates/1/", "/search/?q=a")


@pytest.fixture(scope="module")
def cookies(browser: Browser, stack: Stack) -> dict[str, object]:
    """Return the storage of a signed-in browser."""
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    page.goto("/accounts/login/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("attention")).to_be_visible()
    state = dict(context.storage_state())
    context.close()
    return state


@pytest.fixture
def context(browser: Browser, stack: Stack, cookies) -> Iterator[BrowserContext]:
    """Return a signed-in browser."""
    opened = browser.new_context(
        storage_state=cookies, base_url=stack.url, viewport={"width": 1280, "height": 900}
    )
    opened.set_default_timeout(10_000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Return a page; script errors and violations of the policy fail the test."""
    problems: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console", lambda m: problems.append(m.text) if "Content Security" in m.text else None
    )
    yield opened
    assert not problems


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("path", PAGES)
def test_page_never_scrolls_sideways(page: Page, path: str, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_slash_searches_and_arrows_walk_the_results(page: Page):
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("GPU check")
    result = page.locator("#search-results a").first
    expect(result).to_contain_text("GPU check")
    page.keyboard.press("ArrowDown")
    expect(result).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/templates/\d+/"))


def test_drain_pause_and_resume_ask_why_and_show_at_once(page: Page):
    page.goto("/agents/")
    card = page.locator("section.host").first
    standing = card.locator("[data-testid^=agent-standing]")
    for verb, words in (("Drain", ["draining"]), ("Pause", ["paused"]), ("Resume", [])):
        card.locator("summary").click()
        card.get_by_role("link", name=verb).click()
        page.get_by_test_id("standing-reason").fill(f"{verb} for a test")
        page.get_by_test_id("standing-go").click()
        expect(standing).to_have_text(words)
        expect(card.get_by_text(f"{verb} for a test")).to_have_count(len(words))
    expect(page.locator(".toast").last).to_contain_text("takes tasks again")


def test_beats_refresh_the_card_without_a_reload(page: Page):
    page.goto("/agents/")
    expect(page.locator("html")).to_have_attribute("data-link", "live")
    card = page.locator("section.host").first.element_handle()
    page.wait_for_function("card => !card.isConnected", arg=card)
    expect(page.locator("section.host").first).to_contain_text("online")


def test_page_polls_when_the_socket_is_blocked(page: Page):
    page.route_web_socket("**/ws/live/", lambda socket: socket.close())
    page.goto("/agents/")
    expect(page.locator("html")).to_have_attribute("data-link", "polling")
    expect(page.get_by_text("polling")).to_be_visible()
    with page.expect_response("**/agents/", timeout=15_000):
        pass


def test_adding_an_agent_waits_and_lights_up(page: Page, stack: Stack):
    page.goto("/agents/")
    page.get_by_test_id("agent-add").click()
    token = page.locator("#enrol-command").inner_text().split()[0].partition("=")[2]
    expect(page.get_by_test_id("enrolment-state")).to_contain_text("waiting for the host")
    body = {"enroll_token": token, "name": "newcomer", "instance_id": "i-9", "system": {}}
    requests.post(f"{stack.url}/api/v1/agents/register/", json=body, timeout=10).raise_for_status()
    expect(page.get_by_test_id("enrolment-state")).to_contain_text("newcomer has joined.")
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).not_to_be_visible()
    expect(page.locator("#agent-list")).to_contain_text("newcomer")


def test_template_is_made_refused_and_deleted(page: Page):
    page.goto("/templates/new/")
    page.get_by_label("Name").fill("GPU check")
    page.locator("code-editor .pce-textarea").fill("echo mine")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Another template has this name.")).to_be_visible()
    page.get_by_label("Name").fill("My own")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast")).to_contain_text("My own is saved.")
    page.get_by_role("link", name="My own").click()
    page.get_by_test_id("template-delete").click()
    page.get_by_test_id("confirm-go").click()
    expect(page).to_have_url(re.compile(r"/templates/$"))
    expect(page.get_by_role("link", name="My own")).to_have_count(0)


def test_refusing_the_confirmation_changes_nothing(page: Page):
    page.goto("/templates/1/")
    page.get_by_test_id("template-delete").click()
    page.keyboard.press("Escape")
    expect(page.locator("#confirm")).not_to_be_visible()
    assert page.url.endswith("/templates/1/")


def test_theme_and_sidebar_are_remembered(page: Page):
    page.goto("/")
    page.locator("[data-theme-switch]").click()
    page.locator("[data-side-switch]").click()
    page.reload()
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    expect(root).to_have_attribute("data-side", "collapsed")


def test_language_switch_stays_on_the_page(page: Page):
    page.goto("/agents/")
    page.get_by_test_id("language").click()
    expect(page.locator("h1")).to_have_text("Agent")
    expect(page.get_by_role("link", name="概览")).to_be_visible()
    expect(page).to_have_url(re.compile("/agents/$"))


def test_times_tick_without_requests(page: Page):
    page.goto("/templates/")
    clock = page.locator("time[data-relative]").first
    with page.expect_event("console") as logged:
        clock.evaluate(
            """time => {
                 new MutationObserver(() => console.log("ticked")).observe(time, {childList: true});
                 time.dateTime = new Date(Date.now() - 7_200_000).toISOString();
               }"""
        )
    assert logged.value.text == "ticked"
    expect(clock).to_have_text("2 h ago")
