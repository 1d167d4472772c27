"""A host's disk and the sub-agents on it: both outlive the agent.

A fuse burns down with every durable step and then ends the agent in the middle of what it
does, before or after the step.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from agent_client.protocol import frames
from agent_client.protocol.messages import TaskSpec
from agent_client.tasks.taskdir import ExitRecord
from tests.simulation.ledger import Ledger, Process

Key = tuple[int, int]


class Crash(BaseException):
    """The agent ends here, as by kill -9: nobody may catch it."""


@dataclass(eq=False)
class Entry:
    """One task directory, and the sub-agent that was forked for it."""

    spec: TaskSpec
    descriptor: int
    cpu_ids: tuple[int, ...] = ()
    boot: int = 0
    """In which run of the machine the script was started."""
    is_ordered: bool = False
    is_abandoned: bool = False
    is_forked: bool = False
    """A sub-agent exists and has not looked at the claim yet."""
    has_sub_agent: bool = False
    process: Process | None = None
    exit: ExitRecord | None = None
    log_bytes: int = 0

    @property
    def key(self) -> Key:
        return self.spec.task_id, self.spec.offer

    @property
    def directory(self) -> SimpleNamespace:
        """Return what the agent knows of the directory: the path of its output."""
        return SimpleNamespace(output=Path(f"/proc/self/fd/{self.descriptor}"), name=str(self.key))

    def store_exit(self, reason: str, exit_code: int | None, now: float) -> None:
        """Write the end record once."""
        if self.exit is None:
            self.exit = ExitRecord(
                reason=reason, finished_at=now, exit_code=exit_code, log_bytes=self.log_bytes
            )


@dataclass
class Disk:
    """All task directories of one host."""

    host: str
    ledger: Ledger
    entries: dict[Key, Entry] = field(default_factory=dict)
    forks: list[Entry] = field(default_factory=list)
    boot: int = 1
    """How often the machine was started."""
    fuse: int | None = None
    is_dead: bool = False
    _descriptors: list[int] = field(default_factory=list)

    def step(self) -> None:
        """Pass one numbered step; raises Crash where the fuse ends, and ever after."""
        if self.fuse is not None:
            self.fuse -= 1
            self.is_dead = self.is_dead or self.fuse < 0
        if self.is_dead:
            raise Crash

    def mend(self) -> None:
        """Let a new agent work on it."""
        self.fuse, self.is_dead = None, False

    # --- the agent's writes ---

    def accept(self, spec: TaskSpec) -> Entry:
        self.step()
        descriptor = os.memfd_create("output")
        self._descriptors.append(descriptor)
        entry = self.entries[spec.task_id, spec.offer] = Entry(spec, descriptor)
        self.step()
        return entry

    def order(self, entry: Entry, cpu_ids: tuple[int, ...]) -> None:
        """Write the order, then fork the sub-agent."""
        self.step()
        entry.is_ordered, entry.cpu_ids = True, cpu_ids
        try:
            self.step()
        except Crash:
            self.ledger.excused.add(entry.spec.task_id)
            raise
        entry.is_forked = True
        self.forks.append(entry)
        self.step()

    def abandon(self, entry: Entry) -> None:
        """Claim for nobody what nobody has claimed; a late sub-agent sees it and stops."""
        self.step()
        if entry.process is None:
            entry.is_abandoned = True
            self.ledger.excused.add(entry.spec.task_id)

    def end_lost(self, entry: Entry, now: float) -> None:
        """Kill what a dead sub-agent left, and write the end for it."""
        self.step()
        self.ledger.excused.add(entry.spec.task_id)
        if entry.process is not None:
            entry.process.finish("killed")
        is_older = entry.process is not None and entry.boot != self.boot
        entry.store_exit("host_reboot" if is_older else "supervisor_lost", None, now)
        self.step()

    def throw(self, key: Key) -> None:
        self.step()
        self.entries.pop(key)
        self.step()

    # --- what sub-agents and scripts do, with or without an agent ---

    def claim_next(self) -> None:
        """Let the oldest forked sub-agent take its claim and start the script."""
        entry = self.forks.pop(0)
        entry.is_forked = False
        if entry.is_abandoned or self.entries.get(entry.key) is not entry:
            return
        entry.has_sub_agent, entry.boot = True, self.boot
        spec = entry.spec
        process = Process(spec.task_id, spec.offer, self.host, spec.cpu_cores)
        entry.process = self.ledger.start(process)

    def supervised(self) -> list[Entry]:
        """Return the tasks whose script runs under its sub-agent."""
        return [one for one in self.entries.values() if one.has_sub_agent and one.exit is None]

    def write(self, entry: Entry, size: int) -> None:
        """Let a script say something that can be told from all else it said."""
        process = entry.process
        if process is None:
            return
        start = len(process.written)
        data = bytes((start + position) % 251 for position in range(size))
        process.written += data
        entry.log_bytes += size
        os.write(entry.descriptor, frames.encode(frames.STDOUT, 0, data))

    def exit(self, entry: Entry, exit_code: int, now: float) -> None:
        """Let a script end by itself."""
        if entry.process is not None:
            entry.process.finish("exit", exit_code)
        self._gone(entry, "exit", exit_code, now)

    def stop(self, entry: Entry, reason: str, now: float) -> None:
        """Let the sub-agent stop its script."""
        if entry.process is not None:
            entry.process.finish(reason)
        self._gone(entry, reason, None, now)

    def kill_sub_agent(self, entry: Entry) -> None:
        """Kill the sub-agent; the script goes on until the agent sweeps it."""
        entry.has_sub_agent = False
        self.ledger.excused.add(entry.spec.task_id)

    def reboot(self) -> None:
        """End every process; what is on the disk stays."""
        self.boot += 1
        for entry in [*self.entries.values(), *self.forks]:
            if entry.is_forked or (entry.process is not None and entry.exit is None):
                self.ledger.excused.add(entry.spec.task_id)
            if entry.process is not None:
                if entry.exit is None:
                    self.ledger.rebooted.add(entry.spec.task_id)
                entry.process.finish("killed")
            entry.has_sub_agent = entry.is_forked = False
        self.forks.clear()

    def wipe(self) -> None:
        """Lose everything, as by a new installation of the host."""
        self.reboot()
        for task_id, _offer in self.entries:
            self.ledger.excused.add(task_id)
            self.ledger.wiped.add(task_id)
        self.entries.clear()

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    def _gone(self, entry: Entry, reason: str, exit_code: int | None, now: float) -> None:
        entry.store_exit(reason, exit_code, now)
        entry.has_sub_agent = False
