"""The search over everything the apps registered: words in, groups of hits out."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from dialer_platform.accounts.principal import Principal
from dialer_platform.console.extension import Hit, Text, search_sources_for

MAX_CHARACTERS = 200
MENU_HITS = 6
PAGE_HITS = 50


@dataclass(frozen=True, slots=True)
class Group:
    """The hits of one kind; `all_url` leads to the full list where there is more."""

    label: Text
    hits: list[Hit]
    all_url: str


def find(principal: Principal, words: str, *, limit: int) -> list[Group]:
    """Return the kinds in which something was found, each with at most `limit` hits."""
    if not words:
        return []
    groups = []
    for source in search_sources_for(principal):
        hits = list(source.find(principal, words, limit + 1))
        has_more = len(hits) > limit and source.all_url
        all_url = f"{source.all_url}{quote(words)}" if has_more else ""
        if hits:
            groups.append(Group(source.label, hits[:limit], all_url))
    return groups
