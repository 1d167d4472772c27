"""Ends process trees: finds every descendant, also those that left the group or session.

Shared by the sub-agent and the main agent. Relies on both being child subreapers: what
double-forks or calls setsid becomes their own child again. Signals go through a pidfd
whose process is compared by start time, so a reused pid is never hit.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable

from agent_client.sub_agent.identity import read_stat

Processes = dict[int, int]
"""Pid to start time: enough to recognise each process a moment later."""

_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def become_subreaper() -> None:
    """Make orphaned descendants of this process its own children (Linux only)."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(roots: Iterable[int], *, include_roots: bool = False) -> Processes:
    """Return the living processes below the given ones, zombies left out."""
    stats = {pid: stat for pid in all_pids() if (stat := read_stat(pid)) is not None}
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    roots = list(roots)
    found: Processes = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        for child in children.get(pid, ()):
            if child not in found:
                found[child] = stats[child].start_time
                waiting.append(child)
    if include_roots:
        found.update((pid, stats[pid].start_time) for pid in roots if pid in stats)
    return {pid: start for pid, start in found.items() if stats[pid].state not in "ZX"}


def marked(marker: bytes) -> Processes:
    """Return the processes whose first environment holds `marker` (NAME=value) exactly.

    Finds what escaped a dead sub-agent; blind for processes that cleared their
    environment and for those of other users.
    """
    found: Processes = {}
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read()
        except OSError:
            continue
        if marker not in environment.split(b"\0"):
            continue
        stat = read_stat(pid)
        if stat is not None and stat.state not in "ZX":
            found[pid] = stat.start_time
    return found


def kill_all(processes: Processes) -> None:
    """Freeze, then kill: a frozen process cannot fork while its siblings are being killed."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid, start_time in processes.items():
            send_signal(pid, start_time, number)


def send_signal(pid: int, start_time: int, number: int) -> bool:
    """Signal exactly that process; False when it is gone or not ours to signal."""
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return False
    try:
        stat = read_stat(pid)
        if stat is None or stat.start_time != start_time:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def signal_group(leader: int, number: int) -> None:
    """Signal the process group of a leader that has not been reaped yet."""
    # The group may be empty, or all that is left of it may belong to somebody else.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def dead_child() -> int | None:
    """Return the pid of a child that waits to be reaped, 0 for none yet, None for no children.

    Looks without reaping: whoever wants a status waits for that very pid.
    """
    try:
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return info.si_pid if info is not None else 0


def all_pids() -> list[int]:
    """Return the numbers of all processes now, empty where there is no /proc."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
