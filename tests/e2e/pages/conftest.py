"""A headless Chromium for the page tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

from tests import services
from tests.e2e.pages.log_server import LogServer
from tests.e2e.stack import PASSWORD, Stack

# The suite runs in parallel on small machines; an expectation waits no longer than it must.
expect.set_options(timeout=20_000)
# The headless build draws the same pages in half of the processor time.
PROGRAMS = ("chromium-headless-shell", "chromium")


def chromium() -> str:
    """Return the program; without one the test is skipped, or fails with CI=true."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        services.missing("Chromium (CHROMIUM)", FileNotFoundError(" or ".join(PROGRAMS)))
    return str(found)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return one browser for the tests of a module.

    Its event loop would bar the asynchronous tests of other modules.
    """
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, stack: Stack) -> StorageState:
    """Return the storage of a browser in which the administrator has signed in."""
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    page.goto("/accounts/login/")
    page.locator("[name=username]").fill("admin")
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{stack.url}/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a fresh page whose script errors fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert not errors


@pytest.fixture
def log(page: Page) -> LogServer:
    """Return the fake log of one task, not yet opened."""
    server = LogServer(page)
    server.install()
    return server
