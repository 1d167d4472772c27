"""Dial testing in a browser: made by the form, seen live, broken, told, recovered."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.stack import Stack, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


@dataclass
class Target:
    """A local service that can be broken, and the receiver of alerts at its side."""

    url: str = ""
    status: int = 200
    notices: list[dict[str, Any]] = field(default_factory=list)

    def kinds(self) -> list[str]:
        """Return what was told, in order."""
        return [notice["kind"] for notice in self.notices]


@pytest.fixture
def target() -> Iterator[Target]:
    """A service that listens."""
    found = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.notices += json.loads(body)["notices"]
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def console(browser: Browser, stack: Stack, signed_in) -> Iterator[Page]:
    """A page of the administrator."""
    context = browser.new_context(base_url=stack.url, storage_state=signed_in, locale="en-US")
    yield context.new_page()
    context.close()


@pytest.fixture
def make(stack: Stack, target: Target) -> Iterator[Callable[..., int]]:
    """Return a function that makes a probe of the target; they go before the target does."""
    numbers: list[int] = []

    def make_probe(name: str, **fields: object) -> int:
        body = {"name": name, "kind": "http", "target": target.url, "interval": 1, **fields}
        answer = stack.post("/api/v1/probes/", body)
        assert answer.status_code == 201, answer.text
        numbers.append(int(answer.json()["id"]))
        return numbers[-1]

    yield make_probe
    for number in numbers:
        stack.delete(f"/api/v1/probes/{number}/")


def test_a_probe_is_tried_made_broken_told_and_recovers(console, stack, target) -> None:
    hook = {"name": "receiver", "address": target.url}
    channel = stack.post("/api/v1/alerts/channels/", hook).json()["id"]
    rule = {"name": "down", "name_contains": "shop", "channels": [channel], "group_seconds": 0}
    stack.post("/api/v1/alerts/rules/", rule)

    console.goto("/probes/")
    console.get_by_test_id("probe-new").click()
    console.locator("#id_name").fill("shop")
    console.locator("#id_target").fill(target.url)
    console.locator("#id_interval").fill("1")
    console.get_by_test_id("probe-test").click()
    expect(console.get_by_test_id("test-result")).to_contain_text("first byte")
    console.get_by_test_id("probe-save").click()
    console.wait_for_url(re.compile(r"/probes/\d+/$"))
    number = console.url.rstrip("/").rpartition("/")[2]
    state = console.get_by_test_id(f"probe-state-{number}")
    expect(state).to_have_text("up")
    expect(console.get_by_test_id("probe-results")).to_contain_text("200")

    target.status = 500
    expect(state).to_have_text("down")
    expect(console.get_by_test_id("probe-banner")).to_contain_text("500")
    expect(console.get_by_test_id("probe-incidents")).to_contain_text("open")
    expect(console.get_by_test_id("nav-probes").locator(".count")).to_contain_text("1")
    wait_for(lambda: target.kinds() == ["fired"])
    assert target.notices[0]["title"] == "shop is down"

    target.status = 200
    expect(state).to_have_text("up")
    expect(console.get_by_test_id("probe-incidents")).to_contain_text("ended")
    wait_for(lambda: target.kinds() == ["fired", "recovered"])
    console.goto("/alerts/")
    expect(console.get_by_test_id("deliveries")).to_contain_text("Recovered: shop is down")


def test_a_changed_interval_shows_on_the_page_of_somebody_else(
    console, browser, stack, signed_in, make
) -> None:
    number = make("two readers", interval=60)
    other = browser.new_context(base_url=stack.url, storage_state=signed_in).new_page()
    other.goto("/probes/")
    interval = other.get_by_test_id(f"probe-interval-{number}")
    expect(interval).to_contain_text("1 m")
    console.goto(f"/probes/{number}/edit/")
    console.locator("#id_interval").fill("5")
    console.get_by_test_id("probe-save").click()
    expect(console.get_by_test_id("probe-interval")).to_have_text("5 s")
    expect(interval).to_contain_text("5 s")
    console.get_by_test_id("probe-delete").click()
    console.get_by_test_id("confirm-go").click()
    expect(other.get_by_test_id(f"probe-row-{number}")).to_have_count(0)
    other.context.close()


def test_a_wrong_form_says_what_to_mend(console) -> None:
    console.goto("/probes/new/?kind=tcp")
    console.locator("#id_name").fill("nothing")
    console.locator("#id_target").fill("no port here")
    console.get_by_test_id("probe-test").click()
    expect(console.get_by_test_id("test-refused")).to_be_visible()
    console.get_by_test_id("probe-save").click()
    expect(console.locator(".has-error .error").first).to_be_visible()


def test_a_probe_is_paused_tested_by_hand_and_resumed(console, make) -> None:
    number = make("paused now and then")
    console.goto(f"/probes/{number}/")
    console.get_by_test_id("probe-pause").click()
    expect(console.get_by_test_id(f"probe-state-{number}")).to_have_text("paused")
    console.get_by_test_id("probe-run").click()
    expect(console.get_by_test_id("test-result")).to_contain_text("up")
    console.keyboard.press("Escape")
    console.get_by_test_id("probe-resume").click()
    expect(console.get_by_test_id(f"probe-state-{number}")).to_have_text("up")


def test_the_page_of_a_host_counts_its_completed_runs(console, stack, make) -> None:
    number, agent = make("counted"), stack.online_agent("host1")
    console.goto(f"/agents/{agent}/")
    expect(console.get_by_test_id(f"agent-probe-{number}")).to_be_visible()
    pool = console.get_by_test_id(f"thread-pool-{agent}")
    expect(pool).to_contain_text(re.compile(r"[1-9]\d* ✓"))


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("path", ["/probes/", "/probes/new/", "/probes/{probe}/", "/alerts/"])
def test_nothing_is_wider_than_the_window(console, make, width, path) -> None:
    number = make("a rather long name " * 6, enabled=False)
    console.set_viewport_size({"width": width, "height": 800})
    console.goto(path.format(probe=number))
    assert console.evaluate("document.documentElement.scrollWidth") <= width
