"""How much one tenant or one person may have, so that nobody takes what others need.

A limit of 0 is none. The sentence names the limit, what to do about it, and the setting.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dialer_platform.errors import TooMany

SENTENCES: Mapping[str, Promise] = {
    "unfinished_tasks": _(
        "This tenant may have %(limit)d unfinished tasks. Wait until some have ended, cancel "
        "some, or have %(setting)s raised."
    ),
    "log_bytes": _(
        "The logs of this tenant take the %(limit)d bytes that they may take. No new task is "
        "accepted until %(setting)s is raised."
    ),
    "agents": _("This tenant may have %(limit)d agents. Revoke some, or have %(setting)s raised."),
    "enrolment_tokens": _(
        "This tenant may have %(limit)d enrolment tokens in force. Wait until some have "
        "expired, or have %(setting)s raised."
    ),
    "tokens": _(
        "A person may have %(limit)d API tokens in force. Revoke some, or have %(setting)s raised."
    ),
}


class QuotaExceeded(TooMany):
    """There is as much of something as there may be; `fields` names of what."""

    code = "quota_exceeded"


def ensure_quota(name: str, used: int, *, limit: int, setting: str, more: int = 1) -> None:
    """Raise QuotaExceeded when more of the thing would be beyond its limit."""
    if limit and used + more > limit:
        sentence = str(SENTENCES[name]) % {"limit": limit, "setting": setting}
        raise QuotaExceeded(sentence, fields={name: [sentence]})
