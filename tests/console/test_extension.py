"""What apps add to the console: order, permission, and the limits of the search."""

from __future__ import annotations

import pytest
from django.utils import translation

from dialer_platform.accounts.principal import principal_for
from dialer_platform.console import context, extension, search
from dialer_platform.console.extension import Hit, NavItem, Panel, SearchSource


@pytest.fixture(autouse=True)
def registry(monkeypatch) -> extension._Registry:
    """Return an empty registry that lives for one test."""
    fresh = extension._Registry()
    monkeypatch.setattr(extension, "_registry", fresh)
    return fresh


@pytest.fixture
def viewer(viewer_user):
    """Return a viewer's principal."""
    return principal_for(viewer_user)


def item(url: str, order: int, action: str = "task.view", **more) -> NavItem:
    """Return an entry of the sidebar."""
    return NavItem(label=url, url=url, icon="tasks", order=order, action=action, **more)


def source(*titles: str, **more) -> SearchSource:
    """Return a kind of things that finds these titles."""
    hits = [Hit(title, f"/{title}/") for title in titles]
    return SearchSource(
        "Things", 1, "task.view", lambda principal, words, limit: hits[:limit], **more
    )


def test_navigation_is_ordered(viewer):
    extension.add_nav("b", item("/b/", 20))
    extension.add_nav("a", item("/a/", 10))
    assert [key for key, _ in extension.nav_for(viewer)] == ["a", "b"]


def test_entry_is_hidden_when_the_role_may_not_open_it(viewer, principal):
    extension.add_nav("audit", item("/audit/", 1, "audit.view"))
    assert extension.nav_for(viewer) == []
    assert len(extension.nav_for(principal)) == 1


def test_registering_twice_changes_nothing(viewer):
    for _ in range(2):
        extension.add_nav("a", item("/a/", 10))
    assert len(extension.nav_for(viewer)) == 1


@pytest.mark.parametrize(
    ("path", "current"), [("/", ["/"]), ("/a/", ["/a/"]), ("/a/7/", ["/a/"]), ("/other/", [])]
)
def test_current_entry_is_the_one_the_path_lies_under(viewer, path, current):
    for url in ("/", "/a/"):
        extension.add_nav(url, item(url, 1))
    entries = context.nav_entries(viewer, path)
    assert [entry.url for entry in entries if entry.is_current] == current


def test_entry_counts_what_needs_attention(viewer):
    extension.add_nav("a", item("/a/", 1, count=lambda principal: 3, count_title="failed"))
    (entry,) = context.nav_entries(viewer, "/")
    assert (entry.count, entry.count_title) == (3, "failed")


def test_nobody_has_no_navigation():
    assert context.nav_entries(None, "/") == []
    assert context.open_tenants(None) == []


def test_panels_of_a_place_come_in_order_with_their_variables(viewer):
    for key, order in (("late", 9), ("early", 1)):
        read = lambda principal, obj, key=key: {"key": key, "obj": obj}  # noqa: E731
        extension.add_panel(key, Panel("here", order, f"{key}.html", read, "task.view"))
    extension.add_panel("elsewhere", Panel("there", 1, "x.html", dict, "task.view"))
    found = extension.panels_for("here", viewer, "box3")
    assert [panel["template"] for panel in found] == ["early.html", "late.html"]
    assert found[0]["obj"] == "box3"


def test_panel_is_not_read_when_the_role_may_not_see_it(viewer):
    def fail(principal: object, obj: object) -> dict[str, object]:
        raise AssertionError("must not be read")

    extension.add_panel("audit", Panel("here", 1, "x.html", fail, "audit.view"))
    assert extension.panels_for("here", viewer) == []


def test_search_cuts_each_kind_and_says_where_the_rest_is(viewer):
    extension.add_search("things", source("a", "b", "c", all_url="/things/?q="))
    (group,) = search.find(viewer, "红 b", limit=2)
    assert [hit.title for hit in group.hits] == ["a", "b"]
    assert group.all_url == "/things/?q=%E7%BA%A2%20b"


def test_search_needs_no_link_when_everything_is_shown(viewer):
    extension.add_search("things", source("a", all_url="/things/?q="))
    (group,) = search.find(viewer, "a", limit=2)
    assert group.all_url == ""


def test_search_leaves_out_kinds_without_hits(viewer):
    extension.add_search("nothing", source())
    assert search.find(viewer, "a", limit=2) == []


def test_search_for_nothing_asks_nobody(viewer):
    extension.add_search("things", source("a"))
    assert search.find(viewer, "", limit=2) == []


def test_other_language_is_the_one_not_shown():
    with translation.override("en"):
        assert context.other_language() == ("zh-hans", "中文")
    with translation.override("zh-hans"):
        assert context.other_language() == ("en", "English")
