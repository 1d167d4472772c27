"""What lies on a host's disk: its tasks, and the processes that supervise them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from agent_client.sub_agent import records, tree
from agent_client.sub_agent.identity import ProcessIdentity
from agent_client.tasks.taskdir import parse_name
from tests.e2e.stack import Stack


class Supervisor(NamedTuple):
    """One living sub-agent and the task it supervises."""

    task_id: int
    identity: ProcessIdentity

    def signal(self, number: int) -> bool:
        """Signal exactly this process; returns whether it was hit."""
        return tree.send_signal(self.identity.pid, self.identity.start_time, number)


def state_of(stack: Stack, agent: str) -> Path:
    """Return the state directory of an agent."""
    return stack.directory / f"agent-{agent}"


def task_directories(stack: Stack, agent: str) -> dict[int, Path]:
    """Return the directories of the tasks that a host holds, by task."""
    root = state_of(stack, agent) / "tasks"
    names = list(root.iterdir()) if root.is_dir() else []
    return {parsed[1][0]: path for path in names if (parsed := parse_name(path.name))}


def supervisors(stack: Stack, agent: str) -> list[Supervisor]:
    """Return the living sub-agents of a host that have claimed their task and not ended it."""
    found = []
    for task_id, path in task_directories(stack, agent).items():
        claim = records.read_json(str(path), records.CLAIM) or {}
        if not claim.get("pid") or (path / records.EXIT).exists():
            continue
        identity = ProcessIdentity(claim["pid"], claim["start_time"], claim["boot_id"])
        if identity.is_alive():
            found.append(Supervisor(task_id, identity))
    return found


def rewrite(path: Path, **changes: object) -> None:
    """Change some fields of a record."""
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps({**content, **changes}))
