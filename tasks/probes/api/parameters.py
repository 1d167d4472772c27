"""Query parameters of the probes API: parsed once, refused with the field's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from dialer_platform.errors import Invalid

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_WINDOW_SECONDS = 366 * 86_400


def moment(query: Mapping[str, str], name: str) -> float | None:
    """Return a moment in seconds since the epoch: ISO-8601, or a number of seconds."""
    text = query.get(name, "")
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,6})?", text):
        return float(text)
    try:
        # A plus in a URL is a blank; people forget to escape it.
        found = parse_datetime(text.replace(" ", "+"))
        if found is not None:
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    raise _invalid(name, _("Must be a time such as 2026-01-31T12:00:00Z."))


def number(query: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    """Return a whole number between two limits."""
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not low <= int(text) <= high:
        raise _invalid(
            name, _("Must be between %(low)d and %(high)d.") % {"low": low, "high": high}
        )
    return int(text)


def window(query: Mapping[str, str], default: str = "24h") -> int:
    """Return a window in seconds: 90m, 24h, 30d."""
    text = query.get("window", "") or default
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if not 60 <= seconds <= MAX_WINDOW_SECONDS:
        raise _invalid("window", _("Must be a span such as 90m, 24h or 30d, at most 366d."))
    return seconds


def body(data: Any) -> dict[str, Any]:
    """Return the request's JSON object, or a form's fields; raises Invalid for anything else."""
    if hasattr(data, "dict"):
        return dict(data.dict())
    if not isinstance(data, dict):
        raise Invalid(_("Send a JSON object."))
    return data


def utc(seconds: float) -> datetime:
    """Return seconds since the epoch as a moment."""
    return datetime.fromtimestamp(seconds, UTC)


def _invalid(name: str, sentence: str) -> Invalid:
    """Return the error of one query parameter."""
    return Invalid(_("The request is not valid."), fields={name: [sentence]})
