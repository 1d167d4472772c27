"""What people type into a form, as values: ids by comma, name=value pairs, lengths of time.

Pure. Raises ValueError with a sentence in the reader's language; what the values mean is
checked by the services.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _

SECONDS_BY_UNIT = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LENGTH_PART = re.compile(
    r"(\d+(?:\.\d+)?)\s*(s(?:ec(?:onds?)?)?|m(?:in(?:utes?)?)?|h(?:ours?)?|d(?:ays?)?|)\s*",
    re.IGNORECASE,
)
_ID = re.compile(r"#?(\d{1,18})")


def parse_ids(text: str) -> list[int]:
    """Return the ids in "12, #14 15", each once, in order."""
    words = [word for word in re.split(r"[\s,;，、；]+", text) if word]
    matches = [_ID.fullmatch(word) for word in words]
    wrong = [word for word, match in zip(words, matches, strict=True) if match is None]
    if wrong:
        raise ValueError(_("Not a task id: %(word)s") % {"word": wrong[0][:40]})
    return list(dict.fromkeys(int(match[1]) for match in matches if match))


def format_ids(ids: Sequence[int]) -> str:
    """Return ids as parse_ids reads them."""
    return ", ".join(str(number) for number in ids)


def parse_environment(text: str) -> dict[str, str]:
    """Return the variables of lines `NAME=value`; empty lines and # comments are skipped."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    return dict(_pair(line) for line in lines if line.strip() and line.lstrip()[0] != "#")


def parse_labels(text: str) -> dict[str, str]:
    """Return the labels of "gpu=a100, zone=lab"."""
    return dict(_pair(part.strip()) for part in re.split(r"[,\n，]", text) if part.strip())


def parse_limits(text: str) -> dict[str, str]:
    """Return the limits of "memory_mb=4096, nice=5"; the services judge names and values."""
    return parse_labels(text)


def format_environment(pairs: Mapping[str, str]) -> str:
    """Return variables one a line."""
    return "\n".join(f"{name}={value}" for name, value in pairs.items())


def format_labels(pairs: Mapping[str, object]) -> str:
    """Return labels or limits by comma."""
    return ", ".join(f"{name}={value}" for name, value in pairs.items())


def _pair(text: str) -> tuple[str, str]:
    """Return (name, value) of "name=value"."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(_("Write NAME=value: %(text)s") % {"text": text[:40]})
    return name.strip(), value


def parse_length(text: str) -> int | None:
    """Return the seconds of "90", "15 m", "2h 30m" or "1d"; None for nothing."""
    text = text.strip()
    if not text:
        return None
    parts = list(_LENGTH_PART.finditer(text))
    if "".join(part[0] for part in parts) != text:
        raise ValueError(_("Write a length of time such as 90, 15m or 2h 30m."))
    return int(sum(float(part[1]) * SECONDS_BY_UNIT[part[2][:1].lower()] for part in parts))


def format_length(seconds: int | None) -> str:
    """Return seconds as parse_length reads them, in the units people use."""
    if seconds is None:
        return ""
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, SECONDS_BY_UNIT[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"
