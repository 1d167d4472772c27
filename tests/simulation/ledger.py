"""What really happened on the simulated hosts, written where neither side can see it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(eq=False)
class Process:
    """One script that ran: on which host, what it wrote, how it ended."""

    task_id: int
    offer: int
    host: str
    cpu_cores: int
    is_alive: bool = True
    written: bytearray = field(default_factory=bytearray)
    end: str = ""
    """`exit`, or the reason for which it was stopped; `killed` with its host or sub-agent."""
    exit_code: int | None = None

    def finish(self, end: str, exit_code: int | None = None) -> None:
        """Note the end; the first one counts."""
        if self.is_alive:
            self.is_alive, self.end, self.exit_code = False, end, exit_code


@dataclass
class Ledger:
    """Every start there ever was, and every event that excuses a loss."""

    starts: defaultdict[int, list[Process]] = field(default_factory=lambda: defaultdict(list))
    excused: set[int] = field(default_factory=set)
    """Tasks whose sub-agent, host or start was broken on purpose: they may end as lost."""

    wiped: set[int] = field(default_factory=set)
    """Tasks whose directory was lost with the host's disk: so is what was not sent of them."""

    rebooted: set[int] = field(default_factory=set)
    """Tasks whose host restarted while they ran."""

    def start(self, process: Process) -> Process:
        """Note that a script begins to run."""
        self.starts[process.task_id].append(process)
        return process

    def alive(self, host: str | None = None) -> list[Process]:
        """Return the scripts that run, on one host or on all."""
        found = [one for starts in self.starts.values() for one in starts if one.is_alive]
        return [one for one in found if host in (None, one.host)]

    def only(self, task_id: int) -> Process | None:
        """Return the one start of a task, None when it never started."""
        starts = self.starts.get(task_id, [])
        return starts[0] if starts else None
