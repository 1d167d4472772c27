"""Who a process is: pid, start time and boot id, because a bare pid is soon somebody else.

Reads /proc only. Without /proc (another system) start times are unknown and every
comparison falls back to "is there a process of that number".
"""

from __future__ import annotations

import functools
import os
from typing import NamedTuple

from agent_client.sub_agent.records import read_pseudo_file

_BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"


class ProcessStat(NamedTuple):
    """What /proc/<pid>/stat says of a process; start_time in clock ticks since boot."""

    parent: int
    state: str
    start_time: int


class ProcessIdentity(NamedTuple):
    """One process for ever: a later process of the same pid has another start time or boot."""

    pid: int
    start_time: int
    boot_id: str

    def is_alive(self) -> bool:
        """Return whether this very process still runs (a zombie does not)."""
        if self.boot_id != boot_id():
            return False
        stat = read_stat(self.pid)
        if stat is None:
            return not os.path.exists("/proc/self/stat") and _answers(self.pid)
        return stat.start_time == self.start_time and stat.state not in "ZX"


@functools.cache
def boot_id() -> str:
    """Return the id of this boot of the host, empty where the system has none."""
    return (read_pseudo_file(_BOOT_ID_FILE) or b"").strip().decode()


def identity_of(pid: int) -> ProcessIdentity:
    """Return the identity of a living process; its start time is 0 when it cannot be read."""
    stat = read_stat(pid)
    return ProcessIdentity(pid, stat.start_time if stat else 0, boot_id())


def read_stat(pid: int) -> ProcessStat | None:
    """Return the stat of a process, None when there is no such process."""
    data = read_pseudo_file(f"/proc/{pid}/stat")
    if data is None:
        return None
    # The command name may hold spaces and brackets; everything behind its last bracket is plain.
    fields = data[data.rfind(b")") + 2 :].split()
    if len(fields) < 20:
        return None
    return ProcessStat(int(fields[1]), fields[0].decode(), int(fields[19]))


def _answers(pid: int) -> bool:
    """Return whether some process of that number exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
