"""One installation under faults: a stream of tasks, the faults, and the verdict afterwards."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.e2e.stack import Stack, free_port, wait_for
from tests.faults.checker import FINAL, Evidence, Shown, Violation, violations
from tests.faults.ledger import Ledger
from tests.faults.trials import note_violations

SETTLE_SECONDS = 120
"""After the last fault all due work must have ended by itself within this time."""
SLOTS = "8"


class Lab:
    """A stack, its ledger, and what the client was told."""

    def __init__(self, stack: Stack, *, lines: int = 20, pause: float = 0.03) -> None:
        """Use the stack; every script prints so many lines."""
        self.stack = stack
        self.ledger = Ledger(stack.directory / "ledger", lines=lines, pause=pause)
        self.chance = random.Random(self._seed())
        self.accepted: list[int] = []
        self.canceled: set[int] = set()
        self.losses_allowed = False
        self.starts_may_fail = False
        self.tag = f"fault-{uuid.uuid4().hex[:12]}"
        """A name by which processes that have left everything else are known."""

    @staticmethod
    def _seed() -> int:
        """Return the seed, printed so that a failure can be repeated."""
        seed = int(os.environ.get("FAULTS_SEED", random.randrange(10**6)))
        print(f"FAULTS_SEED={seed}")
        return seed

    # --- the load ------------------------------------------------------------------

    def submit(self, count: int, **fields: object) -> list[int]:
        """Submit tasks until the server has said yes; a repeated key gives the same tasks."""
        body = {
            "name": "fault",
            "template_type": "fault",
            "script_content": self.ledger.script,
            "cpu_cores": 0,
            **fields,
        }
        key = uuid.uuid4().hex

        def accepted() -> list[int] | None:
            try:
                answer = self.stack.post(
                    "/api/v1/tasks/batch/", [body] * count, headers={"Idempotency-Key": key}
                )
            except requests.RequestException:
                return None  # indeterminate: asked again with the same key
            return [one["id"] for one in answer.json()] if answer.status_code == 201 else None

        ids = wait_for(accepted, seconds=60)
        self.accepted += ids
        return ids

    def cancel(self, ids: Sequence[int]) -> None:
        """Ask for tasks to be canceled, as one request."""
        self.canceled.update(ids)
        self.stack.post("/api/v1/tasks/cancel_batch/", {"ids": list(ids)})

    def unfinished(self) -> int:
        """Return how many tasks have not ended; a server that is away counts as one."""
        # In the order of a task's life: one that moves between two requests is met again.
        return self._count("blocked", "waiting", "running")

    def running(self) -> int:
        """Return how many tasks run; a server that is away counts as one."""
        return self._count("running")

    def _count(self, *statuses: str) -> int:
        try:
            return sum(
                self.stack.get(f"/api/v1/tasks/?status={status}&page_size=1").json()["count"]
                for status in statuses
            )
        except (requests.RequestException, KeyError, ValueError):
            return 1

    def wait_started(self, ids: Sequence[int]) -> None:
        """Wait until the scripts have entered themselves."""
        wait_for(lambda: set(ids) <= set(self.ledger.count("START")), seconds=60)

    def keep_busy(self, at_least: int = 16) -> None:
        """Submit more tasks when few are left."""
        if self.unfinished() < at_least:
            self.submit(at_least)

    def pause(self, longest: float = 0.5) -> None:
        """Let the load run for a random moment, so that faults meet every state."""
        time.sleep(self.chance.uniform(0, longest))

    # --- the verdict -----------------------------------------------------------------

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait for all work to end by itself; what does not is found by the verdict."""
        deadline = time.monotonic() + seconds
        while self.unfinished() and time.monotonic() < deadline:
            time.sleep(0.1)

    def verdict(self) -> list[Violation]:
        """Settle, then compare the records."""
        self.settle()
        ends = self.final_events()
        shown = {task_id: self._shown(task_id, ends.get(task_id, 0)) for task_id in self.accepted}
        found = violations(
            Evidence(
                accepted=self.accepted,
                shown={task_id: one for task_id, one in shown.items() if one is not None},
                starts=self.ledger.count("START"),
                ends=self.ledger.count("END"),
                alive=self._alive(),
                canceled=frozenset(self.canceled),
                losses_allowed=self.losses_allowed,
                starts_may_fail=self.starts_may_fail,
            )
        )
        note_violations(found)
        return found

    def final_events(self) -> dict[int, int]:
        """Return how many ends each task's timeline shows."""
        from tests.faults.database import rows

        return dict(
            rows(
                self.stack,
                "SELECT task_id, count(*) FROM tasks_taskevent"
                " WHERE kind IN ('completed', 'failed', 'canceled') GROUP BY task_id",
            )
        )

    def _shown(self, task_id: int, ends: int) -> Shown | None:
        """Return a task as the server shows it, None when it does not."""
        answer = self.stack.get(f"/api/v1/tasks/{task_id}/")
        if answer.status_code != 200:
            return None
        task: dict[str, Any] = answer.json()
        if task["status"] in FINAL:
            wait_for(lambda: self.stack.is_complete(task_id), seconds=30)
        return Shown(
            status=task["status"],
            reason=task["reason"],
            ends=ends,
            log=self.stack.log(task_id),
            expected_log=self.ledger.expected_log(task_id),
            truncated_bytes=task["log_truncated_bytes"],
        )

    def _alive(self) -> dict[int, list[int]]:
        """Return the scripts of ended tasks that still live, by the environment they carry."""
        found: dict[int, list[int]] = {}
        for process in psutil.process_iter():
            try:
                environment = process.environ()
            except (psutil.Error, OSError):
                continue
            directory = environment.get("DIALER_TASK_DIRECTORY", "")
            if directory.startswith(str(self.stack.directory)):
                found.setdefault(int(environment["DIALER_TASK_ID"]), []).append(process.pid)
        return found


@contextmanager
def running_lab(
    directory: Path, *, agents: Sequence[str] = ("host1",), lines: int = 20, **environment: str
) -> Iterator[Lab]:
    """Yield a lab with its server and agents started; closes everything behind it."""
    stack = Stack(directory=directory, environment=environment, port=free_port())
    try:
        stack.start_server()
        for name in agents:
            stack.start_agent(name, AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS)
        yield Lab(stack, lines=lines)
    finally:
        stack.close()


def repeat(lab: Lab, trials: int, fault: Callable[[], None], *, busy: int = 16) -> list[Violation]:
    """Make the fault so many times at random moments under load, then give the verdict."""
    for _ in range(trials):
        lab.keep_busy(busy)
        lab.pause()
        fault()
    return lab.verdict()
