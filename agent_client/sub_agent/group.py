"""A control group per task: every process the script ever makes, wherever it goes.

Made inside our own group where the host lets us (root, or a systemd unit with
Delegate=yes); elsewhere everything works without, and only the search through /proc finds
what is left. The script joins before its first instruction, so nothing can stay outside.
Killing needs no controller; limits of memory and processes need one, in either version.
Never raises: a missing or read-only hierarchy is a normal host.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import NamedTuple

from agent_client.sub_agent import records

_ROOT = "/sys/fs/cgroup"
_MEMBERSHIPS = "/proc/self/cgroup"
_MIB = 1024 * 1024
# What is written where, for version 2 and for version 1.
_MEMORY = {"": "memory.max", "memory": "memory.limit_in_bytes"}
_PIDS = {"": "pids.max", "pids": "pids.max"}


class Group(NamedTuple):
    """The directories of one task's group, in every hierarchy it was made in."""

    directories: tuple[str, ...] = ()
    limited: frozenset[str] = frozenset()
    """What is limited: `memory`, `processes`."""

    def join(self) -> None:
        """Move this process in; called by the script's process itself, before it begins."""
        for directory in self.directories:
            _write(f"{directory}/cgroup.procs", "0")

    def kill(self) -> None:
        """Kill all at once where the kernel can; a group of version 1 is left to the sweep."""
        for directory in self.directories:
            _write(f"{directory}/cgroup.kill", "1")

    def pids(self) -> set[int]:
        """Return the processes in the group, also in groups made below it."""
        found: set[int] = set()
        for directory in self.directories:
            for below, _, _ in os.walk(directory):
                data = records.read_pseudo_file(f"{below}/cgroup.procs") or b""
                found.update(int(line) for line in data.split())
        return found

    def oom_kills(self) -> int | None:
        """Return how many of its processes the kernel has killed for memory, if it counts."""
        for directory in self.directories:
            for name in ("memory.events", "memory.oom_control"):
                for line in (records.read_pseudo_file(f"{directory}/{name}") or b"").splitlines():
                    if line.startswith(b"oom_kill "):
                        return int(line.split()[1])
        return None

    def remove(self) -> None:
        """Remove the empty group with those below it; one in use stays for the next try."""
        for directory in self.directories:
            for below, _, _ in os.walk(directory, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(below)


def make_group(
    task_directory: str,
    *,
    memory_mb: int | None = None,
    processes: int | None = None,
    memberships: str = _MEMBERSHIPS,
    root: str = _ROOT,
) -> Group:
    """Make the group of a task with its limits, as far as this host allows it."""
    # The path, because task ids recur in the state directories of other agents.
    name = f"dialer-{hashlib.sha256(os.fsencode(task_directory)).hexdigest()[:16]}"
    made: list[str] = []
    limited: set[str] = set()
    wanted = {"memory": memory_mb and memory_mb * _MIB, "processes": processes}
    for controller, parent in _own_groups(memberships, root):
        files = {"memory": _MEMORY.get(controller), "processes": _PIDS.get(controller)}
        open_limits = {
            what: (file, value)
            for what, file in files.items()
            if file and (value := wanted[what]) and what not in limited
        }
        # Version 1 is only of use for a limit: it cannot kill a group.
        if controller and not open_limits:
            continue
        directory = f"{parent}/{name}"
        if not _make(directory):
            continue
        made.append(directory)
        limited |= {
            what
            for what, (file, value) in open_limits.items()
            if _write(f"{directory}/{file}", str(value))
        }
    return Group(tuple(made), frozenset(limited))


def _own_groups(memberships: str, root: str) -> list[tuple[str, str]]:
    """Return (controller, directory) of our own groups; the controller of version 2 is ""."""
    found: list[tuple[str, str]] = []
    data = records.read_pseudo_file(memberships) or b""
    for line in data.decode("utf-8", "replace").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mounts = [mount for mount in (root, f"{root}/unified") if _is_v2(mount)]
            found = [("", _joined(mount, path)) for mount in mounts[:1]] + found
        for controller in {"memory", "pids"} & set(controllers.split(",")):
            found.append((controller, _joined(f"{root}/{controllers}", path)))
    return [(controller, directory) for controller, directory in found if os.path.isdir(directory)]


def _is_v2(mount: str) -> bool:
    return os.path.exists(f"{mount}/cgroup.controllers")


def _joined(mount: str, path: str) -> str:
    return os.path.normpath(f"{mount}/{path}")


def _make(directory: str) -> bool:
    """Make a group; one that a former life of this task left is used again."""
    try:
        os.mkdir(directory)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def _write(file: str, text: str) -> bool:
    """Write a control file; returns whether the kernel took it."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
