"""Whether the kernel ended something for lack of memory, as the control group counts it.

The counter belongs to the group the script runs in (the agent's service, its container),
so it is evidence only together with a KILL nobody here sent. Absent counters are normal:
then nothing is claimed.
"""

from __future__ import annotations

import os
import signal

from agent_client.sub_agent import records

_ROOT = "/sys/fs/cgroup"
_EXIT_AFTER_KILL = 128 + signal.SIGKILL
"""What a shell exits with when its last command was killed."""


def oom_kills(*, memberships: str = "/proc/self/cgroup", root: str = _ROOT) -> int | None:
    """Return how many processes of our group the kernel has killed for memory, if it counts."""
    data = records.read_pseudo_file(memberships) or b""
    for line in data.decode("utf-8", "replace").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            file = f"{root}{path}/memory.events"
        elif "memory" in controllers.split(","):
            file = f"{root}/memory{path}/memory.oom_control"
        else:
            continue
        count = _counter(records.read_pseudo_file(os.path.normpath(file)) or b"")
        if count is not None:
            return count
    return None


def was_out_of_memory(code: int, before: int | None, after: int | None) -> bool:
    """Return whether a script that ended with this code (negative: signal) was a victim."""
    if before is None or after is None or after <= before:
        return False
    return code in (-signal.SIGKILL, _EXIT_AFTER_KILL)


def _counter(data: bytes) -> int | None:
    """Return the oom_kill line's number."""
    for line in data.splitlines():
        name, _, number = line.partition(b" ")
        if name == b"oom_kill" and number.strip().isdigit():
            return int(number)
    return None
