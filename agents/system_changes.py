"""What changed about a host, and when: kernel 6.1 → 6.2, memory 64 → 128 GB, a new mount.

Pure. The list lives in the host's facts under `changes`, newest first; it is the server's
word, and whatever a host sends under that name is replaced. What moves all the time (load,
uptime, free memory, use of a mount) is shown as it is now and is no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

CHANGES = "changes"
DROPPED = "changes_dropped"
"""How many older changes the list no longer has."""
MAX_CHANGES = 50
_GIB = 1024**3
_TEXTS = ("hostname", "os", "kernel", "architecture", "python", "agent_version")
_MAX_TEXT_CHARACTERS = 120


def with_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], *, now: datetime
) -> dict[str, Any]:
    """Return the new facts with the list of changes, the old ones' continued.

    Facts that are empty say nothing, so nothing changes; a host's first facts are no change.
    """
    if not new:
        return dict(old)
    facts = {name: value for name, value in new.items() if name not in (CHANGES, DROPPED)}
    known = [one for one in _rows(old.get(CHANGES)) if isinstance(one, dict)]
    at = now.isoformat(timespec="seconds")
    fresh = [
        {"at": at, "what": what, "before": before, "after": after}
        for what, before, after in _differences(old, facts)
    ]
    everything = [*fresh, *known]
    dropped = int(old.get(DROPPED) or 0) + len(everything[MAX_CHANGES:])
    if everything:
        facts[CHANGES] = everything[:MAX_CHANGES]
    if dropped:
        facts[DROPPED] = dropped
    return facts


def former_values(facts: Mapping[str, Any], what: str) -> list[str]:
    """Return what one fact was before, the newest first and each once."""
    rows = (one for one in _rows(facts.get(CHANGES)) if isinstance(one, dict))
    return list(dict.fromkeys(str(one["before"]) for one in rows if one.get("what") == what))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what differs, as texts; a part that one side lacks is not known to differ."""
    if not old:
        return
    before, after = _texts(old), _texts(new)
    for what, text in after.items():
        if what in before and before[what] != text:
            yield what, before[what], text
    if "mounts" not in old or "mounts" not in new:
        return
    were, are = _mounts(old), _mounts(new)
    for point in sorted(were.keys() | are.keys()):
        if were.get(point, "") != are.get(point, ""):
            yield f"mount {point}", were.get(point, ""), are.get(point, "")


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts that stay as they are while nobody touches the host."""
    found = {name: _cut(facts[name]) for name in _TEXTS if name in facts}
    cpu, memory = _mapping(facts.get("cpu")), _mapping(facts.get("memory"))
    if "model" in cpu:
        found["processor"] = _cut(cpu["model"])
    if "cores" in cpu:
        found["cores"] = _cut(cpu["cores"])
    if "total_bytes" in memory:
        found["memory"] = _size(memory["total_bytes"])
    if isinstance(facts.get("ip_addresses"), list):
        found["addresses"] = _cut(", ".join(map(str, facts["ip_addresses"])))
    # Not the time of the boot: it is computed, and moves when the clock is set.
    if facts.get("boot_id"):
        found["boot"] = _cut(facts["boot_id"])[:8]
    return found


def _mounts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the size of each mount point; its use is no change."""
    return {
        _cut(row.get("mount_point")): _size(row.get("total_bytes"))
        for row in _rows(facts.get("mounts"))
        if isinstance(row, dict)
    }


def _size(value: Any) -> str:
    """Return bytes as people compare them; memory that a kernel reserves is no change."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value / _GIB:.1f} GB" if known else ""


def _cut(value: Any) -> str:
    return str(value)[:_MAX_TEXT_CHARACTERS]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
