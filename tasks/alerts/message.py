"""A message to people: the notices of one delivery as a subject and lines of text.

Pure. A notice is a plain dictionary, because it is stored as JSON in the outbox until it
is sent, perhaps by another version of this program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks.alerts.choices import NoticeKind

Notice = Mapping[str, Any]
"""kind, event, title, text, url, since (ISO), at (ISO), name, labels."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one delivery says; `is_good_news` colours it where a service has colours."""

    delivery_id: int
    tenant_id: str
    rule: str
    notices: Sequence[Notice]
    omitted: int = 0
    public_url: str = ""

    @property
    def is_good_news(self) -> bool:
        """Whether every notice is a recovery or a test."""
        good = (NoticeKind.RECOVERED, NoticeKind.TEST)
        return all(notice["kind"] in good for notice in self.notices)

    @property
    def subject(self) -> str:
        """Return one line that says the most important thing."""
        first = headline(self.notices[0])
        more = len(self.notices) + self.omitted - 1
        if not more:
            return first
        return ngettext("%(first)s (+%(count)d more)", "%(first)s (+%(count)d more)", more) % {
            "first": first,
            "count": more,
        }

    def lines(self) -> list[str]:
        """Return the notices as text, each with its link on a line of its own."""
        found: list[str] = []
        for notice in self.notices:
            found.append(headline(notice))
            found += [str(notice[part]) for part in ("text",) if notice.get(part)]
            if notice.get("url"):
                found.append(f"{self.public_url}{notice['url']}")
        if self.omitted:
            found.append(_("… and %(count)d more.") % {"count": self.omitted})
        return found

    def text(self, max_bytes: int) -> str:
        """Return subject-less text of at most so many bytes in UTF-8."""
        whole = "\n".join(self.lines())
        data = whole.encode()
        if len(data) <= max_bytes:
            return whole
        return data[: max_bytes - 3].decode(errors="ignore") + "…"


def headline(notice: Notice) -> str:
    """Return "Recovered: shop is down" and the like."""
    title = str(notice.get("title", ""))
    if notice["kind"] == NoticeKind.FIRED:
        return title
    label = NoticeKind(notice["kind"]).label
    return _("%(kind)s: %(title)s") % {"kind": label, "title": title}
