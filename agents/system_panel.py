"""The system facts of a host as its page shows them; a malformed part shows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from agents.system_changes import CHANGES

MAX_SHOWN = 20
NAMES: Mapping[str, Promise] = {
    "hostname": _("Host name"),
    "os": _("Operating system"),
    "kernel": _("Kernel"),
    "architecture": _("Architecture"),
    "python": _("Python"),
    "agent_version": _("Agent version"),
    "processor": _("Processor"),
    "cores": _("Cores"),
    "memory": _("Memory"),
    "addresses": _("Addresses"),
    "boot": _("Restart of the host"),
}


class Change(NamedTuple):
    """One row of "what changed when"."""

    at: datetime
    name: str
    before: str
    after: str


def booted_at(system: Mapping[str, Any]) -> datetime | None:
    """Return when the host started, None when it never said."""
    seconds = system.get("boot_time")
    try:
        return datetime.fromtimestamp(float(seconds), UTC) if seconds else None
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def changes(system: Mapping[str, Any]) -> list[Change]:
    """Return the newest changes, first the newest."""
    return [
        Change(datetime.fromisoformat(row["at"]), _name(row["what"]), row["before"], row["after"])
        for row in system.get(CHANGES) or []
    ][:MAX_SHOWN]


def _name(what: str) -> str:
    kind, _space, place = what.partition(" ")
    return str(_("Mount point") + f" {place}") if kind == "mount" else str(NAMES.get(what, what))
