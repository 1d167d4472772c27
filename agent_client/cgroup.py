"""What the control group of this process allows: CPU cores and memory.

Reads cgroup v2 (`cpu.max`, `memory.max`) and v1 (`cpu.cfs_quota_us`,
`memory.limit_in_bytes`), from the process's own group up to the root, and takes the
tightest limit. A missing or unreadable file means no limit. Never writes; the root of the
file system is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_UNLIMITED_V1_BYTES = 1 << 60
"""Version 1 writes a number near 2^63 for no limit."""


def cpu_limit_cores(root: Path = Path("/")) -> float | None:
    """Return the tightest CPU quota in cores, None when there is none."""
    quotas = [_quota_v2(group) for group in _groups_v2(root)]
    quotas += [_quota_v1(group) for group in _groups_v1(root, "cpu")]
    return min((quota for quota in quotas if quota), default=None)


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """Return the tightest memory limit in bytes, None when there is none."""
    limits = [_number(_read(group / "memory.max")) for group in _groups_v2(root)]
    limits += [
        _number(_read(group / "memory.limit_in_bytes")) for group in _groups_v1(root, "memory")
    ]
    known = (limit for limit in limits if limit and limit < _UNLIMITED_V1_BYTES)
    return min(known, default=None)


def memory_used_bytes(root: Path = Path("/")) -> int | None:
    """Return what the own group uses without its reclaimable file cache, None when unknown."""
    places = (
        (_groups_v2(root), "memory.current", "inactive_file"),
        (_groups_v1(root, "memory"), "memory.usage_in_bytes", "total_inactive_file"),
    )
    for groups, name, cache in places:
        for group in groups:
            used = _number(_read(group / name))
            if used is not None:
                return max(0, used - _field(_read(group / "memory.stat"), cache))
    return None


def _quota_v2(group: Path) -> float | None:
    quota, _, period = _read(group / "cpu.max").partition(" ")
    return _ratio(quota, period or "100000")


def _quota_v1(group: Path) -> float | None:
    return _ratio(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float | None:
    """Return quota / period; `max`, -1 and nonsense are no limit."""
    above, below = _number(quota), _number(period)
    return above / below if above and below else None


def _groups_v2(root: Path) -> Iterator[Path]:
    """Yield the directories of the own group and its parents in the unified hierarchy."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        if line.startswith("0::"):
            mounts = (root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified")
            mount = next((m for m in mounts if (m / "cgroup.controllers").exists()), mounts[0])
            yield from _upwards(mount, line[3:])


def _groups_v1(root: Path, controller: str) -> Iterator[Path]:
    """Yield the directories of the own group and its parents in a controller's hierarchy."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and controller in controllers.split(","):
            for name in (controllers, controller):
                mount = root / "sys/fs/cgroup" / name
                if mount.is_dir():
                    yield from _upwards(mount, path)
                    break


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """Yield mount/path and its parents down to the mount.

    In a container the path may be that of the host and not exist here; what exists is used.
    """
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for length in range(len(parts), -1, -1):
        group = mount.joinpath(*parts[:length])
        if group.is_dir():
            yield group


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(text: str) -> int | None:
    """Return a number of digits, None for `max`, negative numbers and nonsense."""
    return int(text) if text.isascii() and text.isdigit() else None


def _field(text: str, name: str) -> int:
    """Return a field of a file of `name value` lines, 0 when it is missing."""
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value) or 0
    return 0
