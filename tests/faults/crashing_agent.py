"""An agent that is struck at a numbered step of the first task it holds.

`python -m tests.faults.crashing_agent FAULT N STATE_DIR main …`: the steps of the main agent.
`python -m tests.faults.crashing_agent FAULT zygote FILE STATE_DIR main …`: its sub-agents
are struck, each at the next number that FILE holds. FAULT is KILL or an error's name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.crash_points import KILL, CrashPoints

ZYGOTE = """
import fcntl, os, runpy, sys
sys.path.insert(0, {root!r})
from tests.faults.crash_points import CrashPoints
zygote = os.getpid()
points = CrashPoints(0, fault={fault!r})
points.install()

def forked():
    # The script's own process is no sub-agent: it must live.
    if os.getppid() != zygote:
        points.restart(0)
        return
    descriptor = os.open({numbers!r}, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    number = int(os.read(descriptor, 20) or b"0") + 1
    os.pwrite(descriptor, b"%d" % number, 0)
    os.close(descriptor)
    points.restart(number)

os.register_at_fork(after_in_child=forked)
sys.argv[0] = {program!r}
runpy.run_path({program!r}, run_name="__main__")
"""


def crash_main_agent(fault: str, at: int, state_dir: Path) -> None:
    """Have this process struck while it holds a task."""
    tasks = state_dir / "tasks"

    def holds_a_task() -> bool:
        return tasks.is_dir() and any(one.name[0] != "." for one in tasks.iterdir())

    points = CrashPoints(at, fault=fault, counts=holds_a_task)
    points.install(network=fault == KILL)


def crash_sub_agents(fault: str, numbers: Path, state_dir: Path) -> None:
    """Have every sub-agent of this agent struck at a number of its own."""
    from agent_client.tasks import starter

    real = starter._PACKAGE
    package = state_dir / "crashing"
    package.mkdir(parents=True, exist_ok=True)
    root = str(Path(__file__).resolve().parents[2])
    text = ZYGOTE.format(
        root=root, numbers=str(numbers), program=str(real / "zygote.py"), fault=fault
    )
    (package / "zygote.py").write_text(text)
    starter._PACKAGE = package


def main() -> int:
    """Set the trap, then be an ordinary agent."""
    from agent_client.__main__ import main as run_agent

    fault, *words = sys.argv[1:]
    if words[0] == "zygote":
        crash_sub_agents(fault, Path(words[1]), Path(words[2]))
        return run_agent(words[3:])
    crash_main_agent(fault, int(words[0]), Path(words[1]))
    return run_agent(words[2:])


if __name__ == "__main__":
    sys.exit(main())
