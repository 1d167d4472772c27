"""Agents that are struck at numbered steps: orders are given, strikes are counted."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.e2e.stack import wait_for
from tests.faults.checker import FINAL
from tests.faults.crash_points import COUNT, KILL, SPEAKING_CALLS, Order, Strike, strikes
from tests.faults.crashing_agent import record_of
from tests.faults.database import UNREADABLE, statuses
from tests.faults.lab import Lab

END_SECONDS = 90


class Striker:
    """One host whose main agent, sub-agents or zygote can be struck."""

    def __init__(self, lab: Lab, name: str, who: str) -> None:
        """Nothing is started yet; who is struck is one of crashing_agent's words."""
        self.name = name
        self.agent_id = ""
        self.task_id = 0
        self._lab = lab
        self._orders = lab.stack.directory / f"{name}.orders"
        self._state = lab.stack.directory / f"agent-{name}"
        self._orders.touch()
        self._number = 0
        program = ("-m", "tests.faults.crashing_agent", who, str(self._orders), str(self._state))
        lab.use_options(name, program=program)

    def start(self) -> None:
        """Start it and wait until it is connected."""
        self.agent_id = self._lab.start_agent(self.name)

    def order(self, order: Order) -> None:
        """Have the next task's main agent struck; replaced orders are never followed again."""
        self._number += 1
        temporary = self._orders.with_suffix(".new")
        temporary.write_text(f"{self._number} {order.at} {order.fault}\n")
        temporary.replace(self._orders)

    def list_orders(self, orders: Iterable[Order]) -> None:
        """Have as many sub-agents or zygotes struck as there are orders, one each."""
        Path(f"{self._orders}.next").unlink(missing_ok=True)
        self._orders.write_text("".join(f"{one.at} {one.fault}\n" for one in orders))

    def struck(self) -> list[Strike]:
        """Return what was struck so far."""
        return strikes(record_of(self._orders))

    def is_alive(self) -> bool:
        """Return whether the main agent runs."""
        return self._lab.stack.agents[self.name].poll() is None


def is_final(lab: Lab, task_id: int) -> bool:
    """Return whether a task has ended."""
    return are_final(lab, [task_id])


def are_final(lab: Lab, ids: Sequence[int]) -> bool:
    """Return whether all have ended."""
    try:
        found = statuses(lab.stack, ids)
    except UNREADABLE:
        return False
    return len(found) == len(ids) and set(found.values()) <= FINAL


def disk_steps(calls: Sequence[str]) -> list[int]:
    """Return the numbers of the steps that can fail: those that change a disk."""
    return [number for number, call in enumerate(calls, 1) if call not in SPEAKING_CALLS]


def count_steps(lab: Lab, striker: Striker) -> list[str]:
    """Return the calls that a main agent makes while it holds one task."""
    before = len(striker.struck())
    striker.order(Order(1, COUNT))
    wait_final(lab, lab.submit(1, agent_id=striker.agent_id))
    striker.order(Order(0, KILL))
    return [one.call for one in striker.struck()[before:]]


def steps_of_a_sub_agent(lab: Lab, striker: Striker) -> list[str]:
    """Return the calls that a sub-agent makes with one task."""
    striker.list_orders([Order(1, COUNT)])
    wait_final(lab, lab.submit(1, agent_id=striker.agent_id))
    return [one.call for one in striker.struck()]


def wait_final(lab: Lab, ids: Sequence[int]) -> None:
    """Wait until tasks have ended."""
    wait_for(lambda: are_final(lab, ids), seconds=END_SECONDS)


def strike_each(lab: Lab, strikers: Sequence[Striker], orders: Sequence[Order]) -> int:
    """Give each agent a task and its own step to be struck at; returns how many were.

    One that ended is started again, unharmed, and must bring its task to an end.
    """
    used = strikers[: len(orders)]
    before = {one.name: len(one.struck()) for one in used}
    for striker, order in zip(used, orders, strict=True):
        striker.order(order)
        (striker.task_id,) = lab.submit(1, agent_id=striker.agent_id)
    for striker in used:
        wait_for(lambda s=striker: not s.is_alive() or is_final(lab, s.task_id), seconds=90)
        striker.order(Order(0, KILL))
    hits = {one.name: one.struck()[before[one.name] :] for one in used}
    for striker in used:
        _excuse(lab, striker, hits[striker.name])
        if not striker.is_alive():
            _start_again(lab, striker, hits[striker.name])
    wait_final(lab, [one.task_id for one in used])
    return sum(map(bool, hits.values()))


def _start_again(lab: Lab, striker: Striker, hits: Sequence[Strike]) -> None:
    """Start an agent that was struck dead; nobody waits, its task tells when it is back."""
    code = lab.stack.agents.pop(striker.name).wait()
    assert hits, f"the agent ended with {code} by itself"
    assert code == -signal.SIGKILL or all(one.fault != KILL for one in hits)
    lab.start_agent(striker.name, is_awaited=False)


def _excuse(lab: Lab, striker: Striker, hits: Sequence[Strike]) -> None:
    """Excuse what this strike may have cost: a start, of this task."""
    if any(one.fault == KILL for one in hits):
        lab.excuses.starts_lost += 1
    elif hits:
        lab.excuses.start_hindered.add(striker.task_id)
