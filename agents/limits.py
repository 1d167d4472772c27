"""What a loaded host allows itself, in sentences. Pure; whatever the host says is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from agents.figures import number_of

FULL = 1.0


def limits_text(resources: Mapping[str, Any], *, slots: int) -> str:
    """Return how far and why a host has lowered its limits, "" when it has not.

    slots is how many tasks it usually takes at once.
    """
    factor = number_of(resources.get("adaptive_factor", FULL))
    if not 0 < factor < FULL:
        return ""
    sentences = [_cause(resources.get("adaptive_cause")) % {"factor": f"{factor:.2g}"}]
    allowed = resources.get("slots_allowed")
    if allowed is not None and number_of(allowed) < slots:
        words = {"slots": int(number_of(allowed)), "usual": slots}
        sentences.append(_("It takes %(slots)d tasks at once instead of %(usual)d.") % words)
    if rate := number_of(resources.get("bandwidth_limit_mb")):
        sentences.append(_("File transfers get %(rate)s MB/s.") % {"rate": f"{rate:.1f}"})
    return " ".join(sentences)


def _cause(cause: Any) -> str:
    """Return the pattern of the sentence that says why."""
    return {
        "cpu": _("Its CPU is busy: × %(factor)s of its limits until that falls."),
        "load": _("Its load is high: × %(factor)s of its limits until that falls."),
        "both": _("Its CPU is busy and its load high: × %(factor)s of its limits until they fall."),
    }.get(str(cause), _("Busy: × %(factor)s of its limits until its load falls."))
