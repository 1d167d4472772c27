"""Reads progress bars: what tqdm and its like draw with carriage returns.

Pure: bytes in, percent and remaining seconds out. Looks at the last redrawn line only, so
a bar that is drawn a hundred times a second costs one look per chunk.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LOOK_BACK_BYTES = 4_096
MAX_TEXT_CHARACTERS = 120

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PERCENT = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d+)?)\s?%")
_REMAINING = re.compile(
    r"(?:<|\b(?:eta|remaining|left)\b[\s:=]*)((?:\d+\s?d(?:ays?)?[, ]+)?(?:\d+:)?\d{1,2}:\d{2})",
    re.I,
)
_REMAINING_SECONDS = re.compile(r"\b(?:eta|remaining)\b[\s:=]*(\d+(?:\.\d+)?)\s?s\b", re.I)


class Bar(NamedTuple):
    """A progress bar: percent 0-100, remaining seconds if it says so, the text it shows."""

    percent: float
    eta_seconds: float | None
    text: str

    def as_json(self) -> dict[str, object]:
        """Return the value of the task's progress column."""
        return {"percent": self.percent, "eta_seconds": self.eta_seconds, "text": self.text}


def read_bar(tail: bytes) -> Bar | None:
    """Return the newest bar in the last bytes of an output, None when there is none.

    Only lines that were redrawn with a carriage return count: a percent sign in ordinary
    output is no progress.
    """
    tail = tail[-LOOK_BACK_BYTES:]
    if b"\r" not in tail:
        return None
    text = tail.decode("utf-8", "replace").replace("\r\n", "\n")
    for line in reversed(text.split("\n")):
        if "\r" not in line:
            continue
        for drawn in reversed(line.split("\r")):
            bar = _parse(drawn)
            if bar is not None:
                return bar
    return None


def _parse(drawn: str) -> Bar | None:
    """Return the bar in one drawn line."""
    text = _ESCAPES.sub("", drawn).strip()
    found = _PERCENT.search(text)
    if found is None:
        return None
    percent = float(found[1])
    if percent > 100:
        return None
    return Bar(percent, _remaining_seconds(text), text[:MAX_TEXT_CHARACTERS])


def _remaining_seconds(text: str) -> float | None:
    """Return the time left that a bar shows: `<01:23`, `ETA 1:02:03` or `eta 12s`."""
    plain = _REMAINING_SECONDS.search(text)
    if plain is not None:
        return float(plain[1])
    found = _REMAINING.search(text)
    if found is None:
        return None
    days, _separator, clock = found[1].rpartition(" ")
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    number = re.match(r"\d+", days)
    return float(seconds + (int(number[0]) * 86_400 if number else 0))
