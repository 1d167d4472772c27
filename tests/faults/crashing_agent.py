"""An agent that is struck at a numbered step, by orders that a test gives while it runs.

`python -m tests.faults.crashing_agent WHO ORDERS STATE_DIR main …`. WHO is struck:

    main    the main agent, while it holds a task: ORDERS holds one line, `NUMBER AT FAULT`,
            and counts from the beginning whenever NUMBER changes
    start   the main agent from its first call on: ORDERS holds one line, `AT FAULT`
    tasks   each sub-agent takes the next line `AT FAULT` of ORDERS
    zygote  each zygote takes the next line of ORDERS

What was struck stands in ORDERS.struck.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.faults.crash_points import CrashPoints, Order

ZYGOTE = """
import fcntl, os, runpy, sys
sys.path.insert(0, {root!r})
from tests.faults.crash_points import CrashPoints, Order
from agent_client.sub_agent import sub_agent

points = CrashPoints({record!r})

def take_order(subject=""):
    # The position is the file's own, because all who take orders share it.
    descriptor = os.open({orders!r} + ".next", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    number = int(os.read(descriptor, 20) or b"0")
    os.pwrite(descriptor, b"%d" % (number + 1), 0)
    os.close(descriptor)
    with open({orders!r}) as file:
        lines = file.read().splitlines()
    points.arm(Order.read(lines[number] if number < len(lines) else ""), subject=subject)

run_task = sub_agent.run_task

def run_struck_task(directory, *, hints):
    points.arm(Order.read(""))
    if {of_tasks!r}:
        take_order(os.path.basename(directory))
    run_task(directory, hints=hints)

sub_agent.run_task = run_struck_task
points.install(network=True, forks=not {of_tasks!r})
if {of_tasks!r}:
    # The script's own process is no sub-agent: it must live.
    zygote = os.getpid()
    os.register_at_fork(
        after_in_child=lambda: os.getppid() == zygote or points.arm(Order.read(""))
    )
else:
    take_order()
sys.argv[0] = {program!r}
runpy.run_path({program!r}, run_name="__main__")
"""


def record_of(orders: Path) -> Path:
    """Return where strikes are noted."""
    return orders.with_name(f"{orders.name}.struck")


def strike_main_agent(orders: Path, state_dir: Path) -> None:
    """Have this process struck while it holds a task."""
    tasks = state_dir / "tasks"
    read_order = _newest(orders)
    last = [""]

    def before_step() -> None:
        text = read_order()
        if text != last[0] and _holds_a_task(tasks):
            last[0] = text
            points.arm(Order.read(text.partition(" ")[2]))

    points = CrashPoints(str(record_of(orders)), before_step=before_step)
    points.install(network=True)


def strike_start(orders: Path) -> None:
    """Have this process struck from its first call on."""
    points = CrashPoints(str(record_of(orders)))
    points.install(network=True)
    points.arm(Order.read(orders.read_text()))


def strike_children(orders: Path, state_dir: Path, *, of_tasks: bool) -> None:
    """Have the sub-agents of this agent struck, or else its zygotes."""
    from agent_client.tasks import starter

    real = starter._PACKAGE
    package = state_dir / "crashing"
    package.mkdir(parents=True, exist_ok=True)
    text = ZYGOTE.format(
        root=str(Path(__file__).resolve().parents[2]),
        record=str(record_of(orders)),
        orders=str(orders),
        program=str(real / "zygote.py"),
        of_tasks=of_tasks,
    )
    (package / "zygote.py").write_text(text)
    starter._PACKAGE = package


def _holds_a_task(tasks: Path) -> bool:
    return tasks.is_dir() and any(one.name[0] != "." for one in tasks.iterdir())


def _newest(orders: Path) -> Callable[[], str]:
    """Return a function that gives the order as it is now."""

    def read() -> str:
        try:
            return orders.read_text().strip()
        except OSError:
            return ""

    return read


def main() -> int:
    """Set the trap, then be an ordinary agent."""
    from agent_client.__main__ import main as run_agent

    who, orders, state_dir = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if who == "main":
        strike_main_agent(orders, state_dir)
    elif who == "start":
        strike_start(orders)
    else:
        strike_children(orders, state_dir, of_tasks=who == "tasks")
    return run_agent(sys.argv[4:])


if __name__ == "__main__":
    sys.exit(main())
