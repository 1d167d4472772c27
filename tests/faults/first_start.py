"""The first start of a host: one enrolment token, tried again after whatever went wrong."""

from __future__ import annotations

from tests.e2e.stack import wait_for
from tests.faults.crash_points import COUNT, KILL, Order, Strike, strikes
from tests.faults.crashing_agent import record_of
from tests.faults.database import rows
from tests.faults.lab import AGENT_OPTIONS, Lab
from tests.faults.striking import is_final, wait_final

START_SECONDS = 60


def count_start_steps(lab: Lab) -> list[str]:
    """Return the calls that a host makes until it is online for the first time."""
    host = FirstStart(lab, "counted")
    host.order(Order(1, COUNT))
    host.spawn()
    wait_for(host.is_online, seconds=START_SECONDS)
    host.end()
    return [one.call for one in host.struck()]


def strike_first_start(lab: Lab, name: str, order: Order) -> int:
    """Strike a first start, then start again with the same token; returns 1 if it was hit.

    The host must come online as the one host that it is, and take a task.
    """
    host = FirstStart(lab, name)
    host.order(order)
    host.spawn()
    wait_for(lambda: host.has_ended() or host.is_online(), seconds=START_SECONDS)
    if host.has_ended():
        host.start_again()
    known = rows(lab.stack, f"SELECT id FROM agents_agent WHERE name = '{name}'")
    assert len(known) == 1, "one host was registered more than once"
    # The step may come after the hello: then a start can be lost.
    lab.excuses.starts_lost += 1
    (task_id,) = lab.submit(1, agent_id=known[0][0])
    wait_for(lambda: host.has_ended() or is_final(lab, task_id), seconds=START_SECONDS)
    if host.has_ended():
        host.start_again()
    wait_final(lab, [task_id])
    if any(one.fault != KILL for one in host.struck()):
        lab.excuses.start_hindered.add(task_id)
    host.end()
    return len(host.struck())


class FirstStart:
    """A host without an identity, and the one token that it has."""

    def __init__(self, lab: Lab, name: str) -> None:
        """Get the token."""
        self._lab = lab
        self._name = name
        self._orders = lab.stack.directory / f"{name}.orders"
        self._state = lab.stack.directory / f"agent-{name}"
        self._token = lab.stack.post("/api/v1/agents/enroll/", {}).json()["token"]

    def order(self, order: Order) -> None:
        """Say at which step of the next start it is struck."""
        self._orders.write_text(f"{order.at} {order.fault}\n")

    def spawn(self) -> None:
        """Start the process."""
        stack = self._lab.stack
        program = ("-m", "tests.faults.crashing_agent", "start", str(self._orders))
        home = stack.directory / "home"
        home.mkdir(exist_ok=True)
        stack.agents[self._name] = stack._spawn(
            f"agent-{self._name}",
            *(*program, str(self._state), "main", "--server", stack.url),
            *("--name", self._name, "--state-dir", str(self._state), "--enroll", self._token),
            **{**AGENT_OPTIONS, "HOME": str(home)},
        )

    def has_ended(self) -> bool:
        """Return whether the process is gone."""
        return self._lab.stack.agents[self._name].poll() is not None

    def start_again(self) -> None:
        """Start once more after a strike, with the same token, and wait for the server."""
        assert self.struck(), self._lab.stack.output_of(f"agent-{self._name}")
        self.order(Order(0, KILL))
        self.spawn()
        wait_for(self.is_online, seconds=START_SECONDS)

    def is_online(self) -> bool:
        """Return whether the server has greeted the host."""
        return self._lab.stack.online_agent(self._name) is not None

    def struck(self) -> list[Strike]:
        """Return what was struck so far."""
        return strikes(record_of(self._orders))

    def end(self) -> None:
        """End the process and forget the host."""
        process = self._lab.stack.agents.pop(self._name)
        process.terminate()
        process.wait(30)
