"""The live log in a browser: what it draws, how it follows, resumes and stays bounded."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from agent_client.protocol.frames import STDERR
from tests.e2e.pages.log_server import LogServer

pytestmark = pytest.mark.browser
MEGABYTE = 1_000_000


def rows(page: Page) -> list[str]:
    """Return the text of every row in order."""
    return page.locator(".log-row").all_text_contents()


def numbered(first: int, last: int) -> str:
    """Return lines `line N`."""
    return "".join(f"line {number}\n" for number in range(first, last + 1))


def wide(first: int, last: int) -> str:
    """Return lines of 100 bytes that begin with their number."""
    return "".join(f"{number:<99}\n" for number in range(first, last + 1))


def test_lines_appear_as_they_are_written(page: Page, log: LogServer) -> None:
    log.write("one\n")
    log.open()
    expect(page.locator(".log-row")).to_have_text(["one"])
    log.write("two\n")
    expect(page.locator(".log-row")).to_have_text(["one", "two"])


def test_markup_in_the_output_is_only_text(page: Page, log: LogServer) -> None:
    log.write("<img src=x onerror=alert(1)>&amp;\n")
    log.open()
    expect(page.locator(".log-row")).to_have_text(["<img src=x onerror=alert(1)>&amp;"])
    assert page.locator(".log-row img").count() == 0


def test_bytes_that_are_no_utf8_become_replacement_characters(page: Page, log: LogServer) -> None:
    log.write(b"a\xff\xfeb\n\xe4\xb8\xad\n")
    log.open()
    expect(page.locator(".log-row")).to_have_text(["a\ufffd\ufffdb", "中"])


def test_colours_become_classes_and_other_sequences_vanish(page: Page, log: LogServer) -> None:
    log.write("\x1b[1;31mred\x1b[0m\x1b[2K plain\x1b]0;title\x07\n")
    log.open()
    expect(page.locator(".log-row span")).to_have_class("a-b a-f1")
    expect(page.locator(".log-row")).to_have_text(["red plain"])


def test_a_palette_colour_gets_a_rule_of_its_own(page: Page, log: LogServer) -> None:
    log.write("\x1b[38;5;196mx\n")
    log.open()
    expect(page.locator(".a-f196")).to_have_css("color", "rgb(255, 0, 0)")


def test_a_bar_that_rewrites_itself_is_one_line(page: Page, log: LogServer) -> None:
    log.open()
    for percent in (10, 20, 30):
        log.write(f"\r{percent}%|###", stream=STDERR)
    expect(page.locator(".log-row.is-bar")).to_have_text(["30%|###"])
    log.write("\r100%|###\n", stream=STDERR)
    expect(page.locator(".log-row")).to_have_text(["100%|###"])


def test_streams_do_not_cut_each_others_lines(page: Page, log: LogServer) -> None:
    log.write("half ")
    log.write("error\n", stream=STDERR)
    log.write("whole\n")
    log.open()
    expect(page.locator(".log-row")).to_have_text(["error", "half whole"])


def test_a_stream_can_be_hidden(page: Page, log: LogServer) -> None:
    log.write("out\n")
    log.write("err\n", stream=STDERR)
    log.open()
    page.get_by_text("stdout").click()
    expect(page.locator(".log-row:visible")).to_have_text(["err"])


def test_the_log_follows_its_end(page: Page, log: LogServer) -> None:
    log.open()
    log.write(numbered(1, 2000))
    expect(page.get_by_text("line 2000", exact=True)).to_be_in_viewport()


def test_following_stops_when_scrolled_up(page: Page, log: LogServer) -> None:
    log.write(numbered(1, 2000))
    log.open()
    expect(page.get_by_text("line 2000", exact=True)).to_be_in_viewport()
    page.locator(".log-body").hover()
    page.mouse.wheel(0, -2000)
    expect(page.locator("[data-log=follow]")).to_have_attribute("aria-pressed", "false")
    log.write(numbered(2001, 2003))
    expect(page.get_by_text("3 new lines")).to_be_visible()
    expect(page.get_by_text("line 2003", exact=True)).not_to_be_in_viewport()
    page.get_by_text("3 new lines").click()
    expect(page.get_by_text("line 2003", exact=True)).to_be_in_viewport()


def test_a_lost_connection_resumes_at_the_offset(page: Page, log: LogServer) -> None:
    log.write("one\n")
    log.open()
    expect(page.locator(".log-row")).to_have_text(["one"])
    log.drop_viewers()
    log.write("two\n")
    expect(page.locator(".log-row")).to_have_text(["one", "two"])
    assert log.opened_at == [0, 4]


def test_polling_takes_over_when_sockets_are_blocked(page: Page, log: LogServer) -> None:
    log.is_socket_blocked = True
    log.write("one\n")
    log.open()
    expect(page.locator(".log-row")).to_have_text(["one"])
    log.write("two\n")
    log.finish()
    expect(page.locator(".log-row")).to_have_text(["one", "two"])
    expect(page.locator("[data-log=state]")).to_have_text("complete")


def test_the_footer_says_what_is_stored(page: Page, log: LogServer) -> None:
    log.write("x" * 12_344 + "\n")
    log.finish()
    log.open()
    expect(page.locator("[data-log=stored]")).to_have_text("stored 12,345 of 12,345 bytes")


def test_the_last_line_without_newline_is_shown_at_the_end(page: Page, log: LogServer) -> None:
    log.write("one\nlast")
    log.finish()
    log.open()
    expect(page.locator(".log-row")).to_have_text(["one", "last"])


def test_search_counts_and_steps(page: Page, log: LogServer) -> None:
    log.write(numbered(1, 300))
    log.open()
    expect(page.locator(".log-row").last).to_be_visible()
    page.get_by_label("search").fill("LINE 10")
    expect(page.locator("[data-log=count]")).to_have_text("1/11")
    page.get_by_label("search").press("Enter")
    expect(page.locator(".log-row.is-current")).to_have_text("line 100")


def test_search_in_a_part_says_that_it_is_one(page: Page, log: LogServer) -> None:
    log.write(numbered(1, 100_000))
    log.open()
    shown = page.locator("[data-log=shown]")
    expect(shown).not_to_contain_text("this part only")
    page.get_by_label("search").fill("line 1\n")
    expect(shown).to_contain_text("this part only")
    page.get_by_label("search").fill("")
    expect(shown).not_to_contain_text("this part only")


def test_a_link_to_a_line_marks_it(page: Page, log: LogServer) -> None:
    log.write(numbered(1, 3000))
    log.open("#L1500")
    expect(page.locator(".log-row.is-linked")).to_have_text("line 1500")
    expect(page.locator(".log-row.is-linked")).to_be_in_viewport()


def test_a_click_on_the_number_makes_a_link(page: Page, log: LogServer) -> None:
    log.write(numbered(1, 20))
    log.open()
    page.locator(".log-row").nth(4).click(position={"x": 20, "y": 5})
    expect(page).to_have_url(re.compile("#L5$"))


def test_times_are_shown_on_request(page: Page, log: LogServer) -> None:
    log.write("one\n")
    log.open()
    page.get_by_role("button", name="time").click()
    shown = page.locator(".log-row").evaluate("row => getComputedStyle(row, '::after').content")
    assert re.fullmatch(r'"\d\d:\d\d:\d\d\.\d\d\d"', shown)


def test_a_large_log_opens_at_its_end_and_stays_bounded(page: Page, log: LogServer) -> None:
    line = "x" * 99 + "\n"
    log.write(line * (30 * MEGABYTE // 100))
    log.write("finale\n")
    log.finish()
    log.open()
    expect(page.get_by_text("finale")).to_be_in_viewport()
    expect(page.locator("[data-log=shown]")).to_have_text("Showing the last 2.1 MB of 30.0 MB")
    assert page.locator(".log-row").count() < 25_000


def test_earlier_parts_are_joined_without_a_seam(page: Page, log: LogServer) -> None:
    log.write(wide(1, 50_000))
    log.finish()
    log.open()
    expect(page.locator("[data-n]").last).to_contain_text("50000")
    before = page.locator(".log-row").count()
    page.get_by_text("earlier").click()
    page.wait_for_function(f"document.querySelectorAll('.log-row').length > {before + 1000}")
    shown = [int(text) for text in rows(page)]
    assert shown == list(range(shown[0], 50_001))


def test_a_flood_while_following_skips_to_the_end(page: Page, log: LogServer) -> None:
    log.open()
    log.write("x" * 99 + "\n")
    log.write(("x" * 99 + "\n") * 200_000)
    log.write("finale\n")
    expect(page.get_by_text("finale")).to_be_in_viewport()
    assert page.locator(".log-row").count() <= 40_500
