"""Plug-ins in a browser with a real agent: activated, measured, configured, refused, removed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.e2e.stack import Stack, running_stack, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.xdist_group("plug-in pages")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the one directory whose files the host may follow."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Stack]:
    """One server and one agent whose policy opens the directory."""
    with running_stack(tmp_path_factory.mktemp("stack")) as installation:
        state = installation.directory / "agent-host1"
        state.mkdir(mode=0o700)
        policy = state / "policy.yaml"
        policy.write_text(f"directories: [{json.dumps(str(root))}]\n")
        policy.chmod(0o600)
        installation.start_agent("host1")
        yield installation


@pytest.fixture
def view(browser: Browser, stack: Stack, signed_in: StorageState) -> Iterator[Page]:
    """Return the page of the host; script errors fail the test."""
    context = browser.new_context(base_url=stack.url, storage_state=signed_in)
    opened, errors = context.new_page(), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(f"/agents/{stack.online_agent('host1')}/")
    yield opened
    context.close()
    assert not errors


def row(view: Page, name: str):
    """Return the row of a plug-in."""
    return view.get_by_test_id(f"plugin-row-{name}")


def test_one_button_begins_charts_follow_and_one_is_stopped(view, stack):
    view.get_by_test_id("plugins-open").click()
    view.get_by_test_id("plugins-activate").click()
    for name in ("cpu", "memory", "disk", "network"):
        expect(row(view, name)).to_contain_text("running")
    expect(view.get_by_text("CPU in use")).to_be_visible(timeout=40_000)
    expect(view.locator(".plugin-chart polyline").first).to_be_attached()
    value = re.compile(r"dialer_plugin_value\{[^}]*memory")
    assert wait_for(lambda: value.search(stack.get("/metrics").text))
    view.get_by_test_id("plugin-off-disk").click()
    expect(row(view, "disk")).to_contain_text("not active")
    place = f"/api/v1/agents/{stack.online_agent('host1')}/plugins/disk/"
    assert stack.get(place).json()["reported"] is None


def test_followed_lines_appear_without_a_reload(view, root):
    log = root / "app.log"
    log.write_text("before\n", encoding="utf-8")
    view.get_by_test_id("plugins-open").click()
    view.get_by_test_id("plugin-configure-log_tail").click()
    view.get_by_label("Seconds between two measurements").fill("1")
    view.get_by_role("textbox", name="Files").fill(str(log))
    view.get_by_test_id("plugin-save").click()
    expect(row(view, "log_tail")).to_contain_text("running")
    with log.open("a", encoding="utf-8") as file:
        file.write("<b>something</b> 发生了\n")
    tail = view.get_by_test_id("plugin-tail-log_tail")
    expect(tail).to_contain_text("<b>something</b> 发生了", timeout=40_000)
    expect(tail).not_to_contain_text("before")


def test_what_the_policy_refuses_is_said_beside_the_state(view):
    view.get_by_test_id("plugins-open").click()
    view.get_by_test_id("plugin-configure-log_tail").click()
    view.get_by_role("textbox", name="Files").fill("/etc/shadow")
    view.get_by_test_id("plugin-save").click()
    expect(row(view, "log_tail")).to_contain_text("outside of the policy's directories")
    expect(row(view, "log_tail")).to_contain_text("failed")
