"""Which hosts are to change their release, in memory: asking for it costs no database work.

Read anew by the flusher's thread every round, in every server process, so a wish reaches
a host within a round and its next beat, whichever process took it and whichever it talks
to. A host that runs what is wanted, or has said that it cannot, is told nothing.
"""

from __future__ import annotations

from django.db.models import F

from agent_client.protocol.releases import WantedRelease
from agents.models import HostRelease

MAX_HOSTS = 10_000
"""How many hosts are told to change at a time; the others follow as these are done."""

_wanted: dict[str, WantedRelease] = {}


def wanted(agent_id: str) -> WantedRelease | None:
    """Return the release that a host is to change to, None when it need not."""
    return _wanted.get(agent_id)


def refresh() -> int:
    """Read the open wishes and return how many there are; raises DatabaseError."""
    global _wanted
    rows = (
        HostRelease.objects.filter(can_change=True, agent__revoked_at=None)
        .exclude(wanted_sha256="")
        .exclude(wanted_sha256=F("sha256"))
        .exclude(failed_order=F("wanted_order"))
        .order_by("wanted_at")
        .values_list("agent_id", "wanted_order", "wanted_version", "wanted_sha256", "wanted_bytes")
    )
    # Replaced as a whole: readers on the event loop never see half of it.
    _wanted = {
        agent_id: WantedRelease(order=order, version=version, sha256=sha256, size_bytes=size)
        for agent_id, order, version, sha256, size in rows[:MAX_HOSTS]
    }
    return len(_wanted)


def clear() -> None:
    """Forget everything; for tests."""
    _wanted.clear()
