"""Every page under axe-core, in each theme and each language: nothing serious or critical."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.stack import Stack, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

# Colours do not depend on the language, nor names on the theme: two runs show all four.
LOOKS = (("light", "en-US"), ("dark", "zh-CN"))
SERIOUS = {"serious", "critical"}
BAR = r"for i in $(seq 9999); do printf '\r %s%% [01:00<02:00]' $((i % 99)) >&2; sleep 0.2; done"
PATHS = {
    "overview": "/",
    "tasks": "/tasks/",
    "filtered tasks": "/tasks/?status=canceled&name=none+such",
    "new task": "/tasks/new/",
    "running task": "/tasks/{running}/",
    "failed task": "/tasks/{failed}/",
    "waiting task": "/tasks/{waiting}/",
    "agents": "/agents/",
    "agent": "/agents/{agent}/",
    "plug-ins": "/agents/{agent}/plugins/",
    "configure a plug-in": "/agents/{agent}/plugins/log_tail/",
    "packages of plug-ins": "/agents/plugin-packages/",
    "templates": "/templates/",
    "new template": "/templates/new/",
    "template": "/templates/1/",
    "search": "/search/?q=bert",
    "probes": "/probes/",
    "filtered probes": "/probes/?q=none+such",
    "new probe": "/probes/new/",
    "probe": "/probes/{probe}/",
    "change a probe": "/probes/{probe}/edit/",
    "incidents": "/probes/incidents/",
    "alerts": "/alerts/",
    "new channel": "/alerts/channels/new/",
    "new rule": "/alerts/rules/new/",
    "not found": "/tasks/999999/",
}


@pytest.fixture(scope="module")
def things(stack: Stack) -> dict[str, object]:
    """Return what the pages show: a task in every interesting state, and its host."""
    running = stack.submit(BAR, name="bert finetune")
    failed = stack.submit("echo 'no such file' >&2; exit 3", name="tidy up")
    waiting = stack.submit("true", name="too large", labels={"zone": "moon"})
    stack.submit("true", name="afterwards", depends_on=[running])
    stack.wait_status(failed, "failed")
    wait_for(lambda: len(samples(stack, running)) > 1)
    agent = stack.online_agent("host1")
    plugins = f"/api/v1/agents/{agent}/plugins/"
    stack.post(plugins)
    # Up to its last sample, so that the page has charts.
    wait_for(lambda: stack.get(f"{plugins}memory/").json()["last_sample_at"])
    return {
        "running": running,
        "failed": failed,
        "waiting": waiting,
        "agent": agent,
        "probe": probe_that_is_down(stack),
    }


def probe_that_is_down(stack: Stack) -> int:
    """Return a probe with a closed port behind it, and a rule that tells of it."""
    hook = {"name": "hook", "address": "http://127.0.0.1:9/"}
    channel = stack.post("/api/v1/alerts/channels/", hook).json()["id"]
    stack.post("/api/v1/alerts/rules/", {"name": "all", "channels": [channel]})
    body = {"name": "closed", "kind": "tcp", "target": "127.0.0.1:9", "interval": 1}
    path = f"/api/v1/probes/{stack.post('/api/v1/probes/', body).json()['id']}/"
    wait_for(lambda: stack.get(path).json()["state"] == "down")
    return int(stack.get(path).json()["id"])


def samples(stack: Stack, task: int) -> list[object]:
    """Return the samples of a task."""
    return list(stack.get(f"/api/v1/tasks/{task}/samples/").json()["samples"])


@pytest.fixture(
    scope="module",
    params=LOOKS,
    ids=" ".join,
)
def looks(request) -> dict[str, str]:
    """Return one theme and one language; without motion, so that nothing is half faded."""
    theme, language = request.param
    return {"color_scheme": theme, "locale": language, "reduced_motion": "reduce"}


@pytest.fixture(scope="module")
def console(browser: Browser, stack: Stack, signed_in, looks) -> Iterator[BrowserContext]:
    """Return a signed-in browser with these looks."""
    context = browser.new_context(base_url=stack.url, storage_state=signed_in, **looks)
    yield context
    context.close()


@pytest.fixture
def open_page(console: BrowserContext) -> Iterator[Callable[[str], Page]]:
    """Return a function that opens a page."""
    page = console.new_page()

    def open_path(path: str) -> Page:
        page.goto(path)
        return page

    yield open_path
    page.close()


def findings(page: Page) -> list[str]:
    """Return what axe finds serious or critical, each with the place."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("name", PATHS)
def test_page_has_no_serious_finding(open_page, things, name: str) -> None:
    page = open_page(PATHS[name].format(**things))
    assert findings(page) == []


def test_sign_in_has_no_serious_finding(browser: Browser, stack: Stack, looks) -> None:
    page = browser.new_page(base_url=stack.url, **looks)
    page.goto("/accounts/login/")
    assert findings(page) == []
    page.locator("[name=username]").fill("nobody")
    page.locator("[name=password]").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert findings(page) == []
    page.context.close()


def test_drawer_and_confirmation_have_no_serious_finding(open_page, things) -> None:
    page = open_page("/tasks/")
    page.locator(f"#task-row-{things['running']} a.name").click()
    drawer = page.locator("#drawer")
    expect(drawer.locator(".log-row").first).to_be_visible()
    expect(drawer.get_by_test_id("task-samples")).to_be_visible()
    assert findings(page) == []
    drawer.get_by_test_id(f"task-cancel-{things['running']}").click()
    expect(page.locator("#confirm")).to_be_visible()
    assert findings(page) == []


def test_enrolment_dialog_has_no_serious_finding(open_page) -> None:
    page = open_page("/agents/")
    page.get_by_test_id("agent-add").click()
    expect(page.locator("#enrol-command")).to_be_visible()
    assert findings(page) == []


def test_form_with_mistakes_has_no_serious_finding(open_page) -> None:
    page = open_page("/tasks/new/")
    page.locator("#id_name").press("Control+Enter")
    expect(page.locator("[data-field=name]")).not_to_be_empty()
    assert findings(page) == []


def test_checker_finds_a_picture_without_words(open_page) -> None:
    page = open_page("/")
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert [finding.partition(":")[0] for finding in findings(page)] == ["image-alt"]
