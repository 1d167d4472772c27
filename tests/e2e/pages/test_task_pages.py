"""Task pages in a browser against a real server and agent: submit, watch, cancel, rerun, filter."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.stack import PASSWORD, Stack

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


@pytest.fixture(scope="module")
def session(browser: Browser, stack: Stack) -> dict[str, object]:
    """Return the storage of a signed-in browser."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{stack.url}/accounts/login/")
    page.locator("[name=username]").fill("admin")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    expect(page).to_have_url(f"{stack.url}/")
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def console(browser: Browser, stack: Stack, session: dict[str, object]) -> Iterator[Page]:
    """Return a signed-in page; script errors and violations of the policy fail the test."""
    context = browser.new_context(
        storage_state=session,  # type: ignore[arg-type]
        base_url=stack.url,
        viewport={"width": 1280, "height": 900},
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if "Content Security" in m.text else None)
    yield page
    context.close()
    assert not problems


def write_script(page: Page, text: str) -> None:
    """Type a script into the editor."""
    page.locator("code-editor .pce-textarea").fill(text)


def submit(page: Page, name: str, script: str) -> int:
    """Fill the form, press Run and return the id of the task whose page opens."""
    page.goto("/tasks/new/")
    page.locator("#id_name").fill(name)
    page.locator("#id_template_type").fill("check")
    write_script(page, script)
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/tasks/\d+/$"))
    return int(page.url.rstrip("/").rpartition("/")[2])


def status(page: Page, task_id: int, wanted: str) -> None:
    """Wait until the page shows the status, without a reload."""
    expect(page.get_by_test_id(f"task-status-{task_id}")).to_have_text(wanted, timeout=20_000)


def test_a_submitted_script_runs_and_its_log_streams(console: Page) -> None:
    task = submit(console, "hello", "for i in 1 2 3; do echo line $i; sleep 0.2; done\n")
    expect(console.get_by_test_id("task-log").locator(".log-row")).to_have_text(
        ["line 1", "line 2", "line 3"], timeout=20_000
    )
    status(console, task, "completed")
    expect(console.locator("[data-log=stored]")).to_have_text("stored 21 of 21 bytes")


def test_a_failed_script_shows_the_red_banner_with_its_last_lines(console: Page) -> None:
    task = submit(console, "fails", "echo before the end\nexit 3\n")
    status(console, task, "failed")
    expect(console.get_by_role("alert")).to_contain_text("exit code 3")
    expect(console.get_by_role("alert")).to_contain_text("before the end")


def test_cancel_asks_first_and_ends_the_script(console: Page) -> None:
    task = submit(console, "endless", "sleep 300\n")
    status(console, task, "running")
    console.get_by_test_id(f"task-cancel-{task}").click()
    console.get_by_role("button", name="No, leave it").click()
    status(console, task, "running")
    console.get_by_test_id(f"task-cancel-{task}").click()
    console.get_by_test_id("confirm-go").click()
    status(console, task, "canceled")


def test_rerun_opens_the_new_task(console: Page) -> None:
    task = submit(console, "again", "echo again\n")
    status(console, task, "completed")
    console.get_by_role("button", name="Rerun").click()
    console.wait_for_url(re.compile(rf"/tasks/(?!{task}/)\d+/$"))
    expect(console.get_by_role("heading", name="again")).to_be_visible()


def test_ctrl_enter_in_the_editor_submits(console: Page) -> None:
    console.goto("/tasks/new/")
    console.locator("#id_name").fill("by keyboard")
    console.locator("#id_template_type").fill("check")
    write_script(console, "true")
    console.locator("code-editor .pce-textarea").press("Control+Enter")
    console.wait_for_url(re.compile(r"/tasks/\d+/$"))


def test_the_form_says_beside_the_field_what_is_wrong(console: Page) -> None:
    console.goto("/tasks/new/")
    console.get_by_label("CPU cores").fill("-1")
    expect(console.locator("[data-field=cpu_cores]")).to_contain_text("Must be between 0 and")
    console.get_by_role("button", name="Run").click()
    expect(console.locator("[data-field=name]")).to_contain_text("Must not be empty")
    expect(console.locator("[data-field=script_content]")).to_contain_text("must not be empty")


def test_nothing_is_said_to_be_wrong_before_anything_was_put_in(console: Page) -> None:
    console.goto("/tasks/new/")
    # The live check has answered: it has said what is wrong, of which nothing is to be seen.
    expect(console.locator("#id_name_error.is-live .error")).to_have_count(1)
    expect(console.locator("#id_script_content_error.is-live .error")).to_have_count(1)
    expect(console.locator(".field-errors .error:visible")).to_have_count(0)
    expect(console.locator("#task-form [aria-invalid]")).to_have_count(0)
    console.locator("#id_name").fill("x")
    console.locator("#id_name").fill("")
    expect(console.locator("[data-field=name] .error")).to_be_visible()
    expect(console.locator(".field-errors .error:visible")).to_have_count(1)


def test_what_is_wrong_stays_in_sight_after_the_live_check_of_a_refused_form(
    console: Page,
) -> None:
    console.goto("/tasks/new/")
    console.get_by_role("button", name="Run").click()
    # The live check of the new form replaces what the refusal said beside each field.
    expect(console.locator("#id_name_error.is-live .error")).to_be_visible()
    # Key by key: the form was just replaced, and its first event may come before it listens.
    console.locator("#id_name").press_sequentially("named now", delay=60)
    expect(console.locator("#id_name_error .error")).to_have_count(0)
    expect(console.locator("#id_name")).not_to_have_attribute("aria-invalid", "true")


def test_the_cancel_button_of_the_list_is_in_sight_at_1280(console: Page) -> None:
    task = submit(console, "A name of a usual length", "sleep 60")
    console.goto("/tasks/")
    row = console.get_by_test_id(f"task-row-{task}")
    expect(row).to_contain_text("running")  # its row is not replaced any more
    box = row.locator(".actions button").bounding_box()
    panel = console.locator(".table-wrap").bounding_box()
    assert box and panel and box["x"] + box["width"] <= panel["x"] + panel["width"]


def test_a_refused_form_keeps_the_script(console: Page) -> None:
    console.goto("/tasks/new/")
    write_script(console, "echo kept")
    console.get_by_role("button", name="Run").click()
    expect(console.locator("[data-field=name]")).to_contain_text("Must not be empty")
    expect(console.locator("code-editor .pce-textarea")).to_have_value("echo kept")


def test_the_hint_tells_when_it_could_start(console: Page) -> None:
    console.goto("/tasks/new/")
    console.locator("#id_name").fill("hint")
    console.locator("#id_template_type").fill("check")
    write_script(console, "true")
    expect(console.locator("#task-hint")).to_contain_text("Could start now on host1")
    console.get_by_label("CPU cores").fill("4000")
    expect(console.locator("#task-hint")).to_contain_text("Would wait")


def test_a_template_fills_the_editor(console: Page, stack: Stack) -> None:
    stack.post(
        "/api/v1/templates/",
        {"name": "Greeting", "script_type": "python", "script_content": "print('hi')"},
    )
    console.goto("/tasks/new/")
    console.locator("#id_template_type").fill("Greeting")
    expect(console.locator("code-editor .pce-textarea")).to_have_value("print('hi')")
    expect(console.get_by_label("python")).to_be_checked()


def test_a_dependency_is_found_by_name(console: Page) -> None:
    task = submit(console, "the first one", "true")
    console.goto("/tasks/new/")
    console.get_by_label("Runs after").fill("first one")
    console.locator(f"[data-dependency='{task}']").click()
    expect(console.get_by_label("Runs after")).to_have_value(f"{task}, ")
    expect(console.locator("#dependency-hits .chips")).to_contain_text("the first one")


def test_filters_combine_and_live_in_the_url(console: Page) -> None:
    task = submit(console, "needle in hay", "echo haystack")
    other = submit(console, "needle alone", "true")
    console.goto("/tasks/")
    console.locator("#filter-name").fill("needle")
    console.get_by_label("Script contains").fill("haystack")
    expect(console.get_by_test_id(f"task-row-{other}")).to_have_count(0)
    expect(console.get_by_test_id(f"task-row-{task}")).to_be_visible()
    expect(console).to_have_url(re.compile(r"/tasks/\?name=needle&script=haystack$"))
    console.reload()
    expect(console.get_by_label("Script contains")).to_have_value("haystack")
    expect(console.locator("#task-list tbody tr")).to_have_count(1)


def test_rows_update_live_and_keep_the_choice(console: Page) -> None:
    task = submit(console, "watched", "sleep 2")
    console.goto("/tasks/")
    console.get_by_label(f"Choose #{task}").check()
    status(console, task, "completed")
    expect(console.get_by_label(f"Choose #{task}")).to_be_checked()


def test_a_new_task_appears_in_an_open_list(console: Page, stack: Stack) -> None:
    console.goto("/tasks/")
    task = stack.submit("sleep 0", name="from elsewhere")
    expect(console.get_by_test_id(f"task-row-{task}")).to_be_visible()


def test_the_drawer_opens_from_the_list_and_closes_with_escape(console: Page) -> None:
    task = submit(console, "in the drawer", "echo from the drawer")
    console.goto("/tasks/")
    console.get_by_test_id(f"task-row-{task}").get_by_role("link", name="in the drawer").click()
    drawer = console.locator("#drawer")
    expect(drawer.locator(".log-row")).to_have_text(["from the drawer"])
    console.keyboard.press("Escape")
    expect(drawer).not_to_be_visible()
    expect(console).to_have_url(re.compile(r"/tasks/$"))


def test_several_tasks_are_canceled_at_once(console: Page, stack: Stack) -> None:
    tasks = [stack.submit("sleep 300", name=f"many {n}") for n in range(2)]
    console.goto("/tasks/")
    for task in tasks:
        console.get_by_label(f"Choose #{task}").check()
    console.locator("#bulk").get_by_role("button", name="Cancel").click()
    expect(console.locator("#confirm")).to_contain_text("Cancel 2 tasks?")
    console.get_by_test_id("confirm-go").click()
    for task in tasks:
        status(console, task, "canceled")


def test_everything_works_with_the_sockets_blocked(console: Page) -> None:
    console.route_web_socket("**/ws/**", lambda socket: socket.close())
    task = submit(console, "no sockets", "for i in 1 2 3; do echo $i; sleep 0.3; done")
    status(console, task, "completed")
    expect(console.get_by_test_id("task-log").locator(".log-row")).to_have_text(["1", "2", "3"])


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("path", ["/tasks/", "/tasks/new/", "/tasks/1/"])
def test_pages_do_not_scroll_sideways(console: Page, path: str, width: int) -> None:
    console.set_viewport_size({"width": width, "height": 900})
    console.goto(path)
    assert console.evaluate("document.documentElement.scrollWidth") <= width
