"""What apps add to the console: navigation, panels, search.

Owns the registries; apps fill them in a module `panels.py`, which is imported once at
start. So the console draws tasks and agents without importing them. Never decides who may
see something: each entry names an action of accounts/permissions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise

from dialer_platform.accounts.permissions import can
from dialer_platform.accounts.principal import Principal

Text = str | Promise
Context = Callable[[Principal, Any], Mapping[str, Any]]

OVERVIEW_STATS = "overview.stats"
OVERVIEW_ATTENTION = "overview.attention"
OVERVIEW_MAIN = "overview.main"
AGENT_PAGE = "agent.page"
AGENT_TOOLS = "agent.tools"
"""On a host's page outside of the part that refreshes: what a person is typing stays."""


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the sidebar; `count` says how many things need attention."""

    label: Text
    url: str
    icon: str
    order: int
    action: str
    count: Callable[[Principal], int] | None = None
    count_title: Text = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One part of a page: a template and the function that reads what it shows.

    The function gets the principal and the object of the page (None on the overview) and
    returns the template's variables.
    """

    place: str
    order: int
    template: str
    context: Context
    action: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of the search."""

    title: str
    url: str
    note: Text = ""
    tone: str = ""
    tone_label: Text = ""


@dataclass(frozen=True, slots=True)
class SearchSource:
    """A kind of things that can be found; `find` returns at most `limit` hits."""

    label: Text
    order: int
    action: str
    find: Callable[[Principal, str, int], Iterable[Hit]]
    all_url: str = ""
    """Where the full list of results is; the words are appended."""


@dataclass(slots=True)
class _Registry:
    """What the apps registered, by key so that a second import changes nothing."""

    nav: dict[str, NavItem] = field(default_factory=dict)
    panels: dict[str, Panel] = field(default_factory=dict)
    search: dict[str, SearchSource] = field(default_factory=dict)


_registry = _Registry()


def add_nav(key: str, item: NavItem) -> None:
    """Add an entry to the sidebar."""
    _registry.nav[key] = item


def add_panel(key: str, panel: Panel) -> None:
    """Add a panel to a page."""
    _registry.panels[key] = panel


def add_search(key: str, source: SearchSource) -> None:
    """Add a kind of things to the search."""
    _registry.search[key] = source


def nav_for(principal: Principal) -> list[tuple[str, NavItem]]:
    """Return the keys and entries the principal may open, in order."""
    items = sorted(_registry.nav.items(), key=lambda pair: pair[1].order)
    return [(key, item) for key, item in items if can(principal, item.action)]


def panels_for(place: str, principal: Principal, obj: Any = None) -> list[dict[str, Any]]:
    """Return the panels of a place in order, each as its template and its variables."""
    found = [panel for panel in _registry.panels.values() if panel.place == place]
    return [
        {"template": panel.template, **panel.context(principal, obj)}
        for panel in sorted(found, key=lambda panel: panel.order)
        if can(principal, panel.action)
    ]


def search_sources_for(principal: Principal) -> list[SearchSource]:
    """Return the kinds of things the principal may find, in order."""
    found = sorted(_registry.search.values(), key=lambda source: source.order)
    return [source for source in found if can(principal, source.action)]
