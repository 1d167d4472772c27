"""How numbers and times are said: durations, sizes and ages, in the reader's language.

Pure functions; static/js/clock.js says the same in the browser with the units given to it.
"""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

MINUTE, HOUR, DAY = 60, 3_600, 86_400
AGE_LIMIT_SECONDS = 14 * DAY
"""Beyond it the date says more than the age."""
SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
KILO = 1024


def unit_words() -> list[str]:
    """Return the short words for day, hour, minute and second."""
    return pgettext("units of time", "d h m s").split()


def duration(seconds: float | None) -> str:
    """Return "12 m 04 s": the two largest units; a dash when there is nothing to say."""
    if seconds is None:
        return "—"
    days, hours, minutes, rest = unit_words()
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{_short_seconds(seconds, whole)} {rest}"
    if whole < HOUR:
        return f"{whole // MINUTE} {minutes} {whole % MINUTE:02d} {rest}"
    if whole < DAY:
        return f"{whole // HOUR} {hours} {whole // MINUTE % 60:02d} {minutes}"
    return f"{whole // DAY} {days} {whole // HOUR % 24:02d} {hours}"


def age(at: datetime, now: datetime | None = None) -> str:
    """Return "5 m ago", "in 3 s", "just now", or the date when it is long ago."""
    seconds = ((now or timezone.now()) - at).total_seconds()
    if abs(seconds) >= AGE_LIMIT_SECONDS:
        local = timezone.localtime(at)
        return date_format(local, _("j M Y"))
    if abs(seconds) < 1:
        return _("just now")
    text = coarse_duration(abs(seconds))
    return _("%(time)s ago") % {"time": text} if seconds > 0 else _("in %(time)s") % {"time": text}


def coarse_duration(seconds: float) -> str:
    """Return the largest unit only: "5 m"."""
    words = unit_words()
    for size, word in zip((DAY, HOUR, MINUTE), words, strict=False):
        if seconds >= size:
            return f"{int(seconds // size)} {word}"
    return f"{int(seconds)} {words[-1]}"


def size(count: float | None) -> str:
    """Return a number of bytes as "19.4 GB" (1 kB = 1,024 bytes); a dash for None."""
    if count is None:
        return "—"
    value = float(count)
    for unit in SIZE_UNITS[:-1]:
        if abs(value) < KILO:
            return f"{_short_number(value)} {unit}"
        value /= KILO
    return f"{_short_number(value)} {SIZE_UNITS[-1]}"


def size_of(used: float, total: float) -> str:
    """Return "19.4 / 24 GB", each with its unit where they differ."""
    left, right = size(used), size(total)
    if left.split()[-1] == right.split()[-1]:
        left = left.split()[0]
    return f"{left} / {right}"


def _short_seconds(seconds: float, whole: int) -> str:
    """Return seconds with one digit more where it says something."""
    return f"{seconds:.1f}" if 0 < seconds < 10 and seconds != whole else str(whole)


def _short_number(value: float) -> str:
    """Return three digits at most, without empty decimals."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}".removesuffix(".0")
