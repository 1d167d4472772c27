"""Files of a host in a browser: look, fetch, send, and what a policy and a role leave of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.stack import PASSWORD, Stack, running_stack

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.xdist_group("files panel")]

CHUNK_BYTES = 4 * 1024 * 1024


@dataclass
class Host:
    """One host, whose policy opens one directory."""

    agent_id: str
    root: Path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One server for the tests of this module; its agent comes with `host`."""
    with running_stack(tmp_path_factory.mktemp("stack")) as installation:
        yield installation


@pytest.fixture(scope="module")
def host(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Return the host, with some files in its open directory."""
    root = tmp_path_factory.mktemp("root")
    (root / "logs").mkdir()
    (root / "logs" / "app.log").write_text("first line\n你好\n", encoding="utf-8")
    (root / "blob.bin").write_bytes(b"\0" + os.urandom(1000))
    state = stack.directory / "agent-host1"
    state.mkdir(mode=0o700)
    policy = state / "policy.yaml"
    policy.write_text(f"directories: [{json.dumps(str(root))}]\n")
    policy.chmod(0o600)
    return Host(stack.start_agent("host1"), root)


@pytest.fixture
def open_as(browser: Browser, stack: Stack, host: Host) -> Iterator[Callable[[str], Page]]:
    """Return a function that shows the host's page to somebody; script errors fail the test."""
    contexts, errors = [], []

    def show(name: str) -> Page:
        contexts.append(browser.new_context(base_url=stack.url))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto("/accounts/login/")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{stack.url}/")
        page.goto(f"/agents/{host.agent_id}/")
        return page

    yield show
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def page(open_as) -> Page:
    """Return the host's page of the administrator."""
    return open_as("admin")


def browse(page: Page, path: Path | str) -> None:
    """Ask for a path with the keyboard."""
    page.get_by_label("Path on the host").fill(str(path))
    page.keyboard.press("Enter")


def test_person_walks_into_a_directory_and_reads_a_file(page: Page, host: Host) -> None:
    browse(page, host.root)
    entry = page.get_by_role("button", name="logs/")
    expect(entry).to_be_visible()
    entry.press("Enter")
    page.get_by_role("button", name="app.log").press("Enter")
    expect(page.locator(".files-text")).to_have_text("first line\n你好\n")
    expect(page.locator(".files-facts")).to_contain_text("utf-8")
    page.locator(".files-crumbs").get_by_role("button", name="logs").press("Enter")
    expect(page.get_by_role("button", name="app.log")).to_be_visible()
    expect(page.locator("#files-into")).to_have_value(str(host.root / "logs"))


def test_page_of_a_look_shows_it_by_itself(page: Page, host: Host) -> None:
    # As when the form is sent by the browser, before any script has it: no hint is needed.
    page.get_by_label("Path on the host").fill(str(host.root / "logs" / "app.log"))
    page.route("**/tasks/*/live/", lambda route: route.abort())
    page.locator(".files-bar").evaluate("form => HTMLFormElement.prototype.submit.call(form)")
    page.wait_for_url(re.compile(r"/tasks/\d+/$"))
    expect(page.locator(".files-text")).to_have_text("first line\n你好\n")
    page.locator(".files-crumbs").get_by_role("button", name="logs").press("Enter")
    expect(page.get_by_role("button", name="app.log")).to_be_visible()


def test_file_that_is_dropped_on_the_panel_arrives_whole(page: Page, host: Host) -> None:
    page.locator("#files-into").fill(str(host.root))
    dropped = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["dropped\\n", "twice\\n"], "dropped.txt"));
            return transfer;
        }"""
    )
    zone = page.locator("[data-drop]")
    for kind in ("dragenter", "dragover"):
        zone.dispatch_event(kind, {"dataTransfer": dropped})
    expect(zone).to_have_class(re.compile("is-over"))
    zone.dispatch_event("drop", {"dataTransfer": dropped})
    expect(zone).not_to_have_class(re.compile("is-over"))
    row = page.locator("#files-recent li").filter(has_text="dropped.txt")
    expect(row).to_contain_text("completed")
    assert (host.root / "dropped.txt").read_text() == "dropped\ntwice\n"


def test_focus_stays_in_the_panel_when_the_list_is_replaced(page: Page, host: Host) -> None:
    browse(page, host.root)
    page.get_by_role("button", name="logs/").press("Enter")
    expect(page.get_by_role("button", name="app.log")).to_be_visible()
    expect(page.locator("#files-view")).to_be_focused()


def test_file_of_the_host_is_fetched_and_taken(page: Page, host: Host) -> None:
    browse(page, host.root / "blob.bin")
    expect(page.locator("#files-shown")).to_contain_text("Not text")
    page.get_by_test_id("files-fetch").click()
    row = page.locator("#files-recent li").filter(has_text="blob.bin")
    with page.expect_download() as started:
        row.get_by_role("link", name="Download").click()
    assert Path(started.value.path()).read_bytes() == (host.root / "blob.bin").read_bytes()


def test_policy_refuses_what_it_does_not_open_and_the_page_says_so(page: Page) -> None:
    browse(page, "/etc")
    refusal = page.get_by_test_id("files-refused")
    expect(refusal).to_contain_text(re.compile("policy_denied|does not allow|not within|policy"))


def test_file_is_sent_in_chunks_and_arrives_whole(page: Page, host: Host, tmp_path: Path) -> None:
    data = os.urandom(CHUNK_BYTES + 1234)
    (tmp_path / "sent.bin").write_bytes(data)
    page.locator("#files-into").fill(str(host.root))
    page.locator("#files-chosen").set_input_files(tmp_path / "sent.bin")
    row = page.locator("#files-recent li").filter(has_text="sent.bin")
    expect(row).to_contain_text("completed")
    assert (host.root / "sent.bin").read_bytes() == data


def test_interrupted_upload_goes_on_where_it_stopped(
    page: Page, host: Host, tmp_path: Path
) -> None:
    data = os.urandom(2 * CHUNK_BYTES)
    (tmp_path / "resumed.bin").write_bytes(data)
    offsets: list[str] = []

    def cut_the_second(route: Route) -> None:
        offsets.append(route.request.url.partition("offset=")[2])
        refuse = len(offsets) == 2
        route.fulfill(status=403, json={"detail": "cut"}) if refuse else route.continue_()

    page.route("**/content/?offset=*", cut_the_second)
    page.locator("#files-into").fill(str(host.root))
    page.locator("#files-chosen").set_input_files(tmp_path / "resumed.bin")
    expect(page.locator("#files-sending")).to_contain_text("Interrupted at 50 %: cut")
    page.get_by_role("button", name="Go on").click()
    row = page.locator("#files-recent li").filter(has_text="resumed.bin")
    expect(row).to_contain_text("completed")
    assert (host.root / "resumed.bin").read_bytes() == data
    assert offsets == ["0", str(CHUNK_BYTES), str(CHUNK_BYTES)]


def test_sending_needs_an_absolute_directory(page: Page, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    page.locator("#files-into").fill("relative")
    page.locator("#files-chosen").set_input_files(tmp_path / "x")
    expect(page.get_by_role("alert")).to_contain_text("absolute path")
    expect(page.locator("#files-sending li")).to_have_count(0)


def test_viewer_sees_transfers_and_nothing_to_write_with(stack: Stack, open_as) -> None:
    stack.manage("user", "vera", "--tenant", "default", "--role", "viewer", "--password", PASSWORD)
    page = open_as("vera")
    expect(page.locator("#files-recent")).to_be_visible()
    expect(page.locator("#files").get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_panel_fits_the_page(page: Page, host: Host, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    browse(page, host.root)
    expect(page.get_by_role("button", name="logs/")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
