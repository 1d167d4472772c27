"""One installation under faults: a stream of tasks, the faults, and the verdict afterwards."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.e2e.stack import Stack, free_port, wait_for
from tests.faults.checker import FINAL, Evidence, Excuses, Shown, Violation, violations
from tests.faults.database import StoredEnd, count_tasks, epoch_of, final_events, stored_ends
from tests.faults.family import Family, described
from tests.faults.ledger import PAUSE_SECONDS, Ledger
from tests.faults.trials import chance, note_fact, note_trials, note_violations

SETTLE_SECONDS = 120
"""After the last fault all due work must have ended by itself within this time."""
HEAL_SECONDS = 30
"""The same after a fault of the network alone, where the machine is not loaded (R13)."""
LOAD_PER_CORE = 2.0
"""So many waiting processes per core are a loaded machine; bounds grow with what is more."""
LEAK_SECONDS = 20
STOP_SECONDS = 30
SLOTS = "8"
AGENT_OPTIONS = {
    "AGENT_TASK_MAX_CONCURRENT_TASKS": SLOTS,
    # A host looks for its server again at once: so more of a test is work and less is waiting.
    "AGENT_CONNECTION_WS_BACKOFF_INITIAL_MS": "200",
    "AGENT_CONNECTION_WS_BACKOFF_MAX_MS": "1000",
}
PAGE = 200
WIDE_EACH = 4
"""One task in so many prints 2 MB."""


class Lab:
    """A stack, its ledger, and what the client was told."""

    def __init__(
        self,
        stack: Stack,
        *,
        lines: int = 20,
        pause: float = PAUSE_SECONDS,
        wide_each: int = WIDE_EACH,
    ) -> None:
        """Use the stack; every script prints so many lines, one in wide_each 2 MB (0: none)."""
        self.stack = stack
        self.ledger = Ledger(stack.directory / "ledger", lines=lines, pause=pause)
        self.chance = chance()
        self.accepted: list[int] = []
        self.canceled: set[int] = set()
        self.excuses = Excuses()
        self.tag = f"fault-{uuid.uuid4().hex[:12]}"
        """A name by which processes that have left everything else are known."""
        self._wide_each = wide_each
        self.trials = 0
        """Trials that were made and wait to be judged."""
        self._judged: dict[int, StoredEnd] = {}
        self._options: dict[str, dict[str, str]] = {}

    # --- hosts -------------------------------------------------------------------------

    def start_agent(self, name: str = "host1", *, is_awaited: bool = True, **options: Any) -> str:
        """Start an agent as it was started before; waits for a connection of this very start.

        The row of a host that was killed says online for a while: only the number of its
        connection tells that it is back. Without waiting the next fault meets it anywhere in
        its start. Returns its id, empty when nobody waited.
        """
        options = self._options.setdefault(name, {**AGENT_OPTIONS, **options})
        before = epoch_of(self.stack, name) if is_awaited else 0
        self.stack.spawn_agent(name, **options)  # type: ignore[arg-type]
        if not is_awaited:
            return ""
        wait_for(lambda: epoch_of(self.stack, name) > before, seconds=60)
        return str(wait_for(lambda: self.stack.online_agent(name), seconds=60, each=0.2))

    def use_options(self, name: str, **options: Any) -> None:
        """Have the next start of an agent use these options and no others."""
        self._options[name] = {**AGENT_OPTIONS, **options}

    # --- the load ----------------------------------------------------------------------

    def submit(self, count: int, **fields: object) -> list[int]:
        """Submit tasks until the server has said yes; a repeated key gives the same tasks."""
        body = {"name": "fault", "template_type": "fault", "cpu_cores": 0, **fields}
        wide = set()
        if "script_content" not in fields and self._wide_each:
            wide = set(range(self._wide_each - 1, count, self._wide_each))
        scripts = [self.ledger.script(is_wide=number in wide) for number in range(count)]
        ids = self.submit_batch([{"script_content": script, **body} for script in scripts])
        self.ledger.wide.update(ids[number] for number in wide)
        return ids

    def submit_batch(
        self, bodies: Sequence[dict[str, object]], *, post: Callable[..., Any] | None = None
    ) -> list[int]:
        """Submit exactly these tasks; post may be a client that is cut off in the middle."""
        key = uuid.uuid4().hex

        def accepted() -> list[int] | None:
            try:
                answer = (post or self.stack.post)(
                    "/api/v1/tasks/batch/", list(bodies), headers={"Idempotency-Key": key}
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
        """Return how many tasks have not ended; a database that is away counts as one."""
        return count_tasks(self.stack, "blocked", "waiting", "running")

    def running(self) -> int:
        """Return how many tasks run; a database that is away counts as one."""
        return count_tasks(self.stack, "running")

    def wait_started(self, ids: Sequence[int]) -> None:
        """Wait until the scripts have entered themselves."""
        wait_for(lambda: set(ids) <= set(self.ledger.count("START")), seconds=60)

    def wait_running(self, at_least: int) -> None:
        """Wait until so many tasks run, submitting more where they have ended already."""

        def enough() -> bool:
            found = self.running() >= at_least
            if not found:
                self.keep_busy(at_least * 4)
            return found

        wait_for(enough, seconds=60)

    def keep_busy(self, at_least: int = 16) -> None:
        """Submit more tasks when few are left."""
        if self.unfinished() < at_least:
            self.submit(at_least)

    def pause(self, longest: float = 0.5) -> None:
        """Let the load run for a random moment, so that faults meet every state."""
        time.sleep(self.chance.uniform(0, longest))

    # --- the verdict -------------------------------------------------------------------

    def made(self, trials: int = 1) -> None:
        """Count trials that were made; they are noted once they are judged."""
        self.trials += trials

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait for all work to end by itself; what does not is found by the verdict."""
        deadline = time.monotonic() + seconds
        while self.unfinished() and time.monotonic() < deadline:
            time.sleep(0.1)

    def verdict(self, *, within: float = SETTLE_SECONDS) -> list[Violation]:
        """Settle, then compare the records; only here the trials count as made."""
        self.settle(within)
        stored, kinds = stored_ends(self.stack), final_events(self.stack)
        wanted = [one for one in self.accepted if one in stored and one not in self._judged]
        answers = self._answers(set(wanted))
        shown = {
            task_id: self._shown(answers[task_id], stored[task_id].status, kinds.get(task_id, ()))
            for task_id in wanted
            if task_id in answers
        }
        found = violations(
            Evidence(
                accepted=[one for one in self.accepted if one not in self._judged],
                shown=shown,
                starts=self._unjudged(self.ledger.count("START")),
                ends=self.ledger.count("END"),
                stored=self._unjudged(stored),
                alive=self.alive(),
                canceled=frozenset(self.canceled),
                changed=[one for one, end in self._judged.items() if stored.get(one) != end],
                excuses=self.excuses,
            )
        )
        self._judged.update({one: stored[one] for one in shown if stored[one].status in FINAL})
        self.excuses.starts_lost = 0
        note_trials(self.trials)
        self.trials = 0
        note_violations(found)
        return found

    def _unjudged(self, tasks: Any) -> dict[int, Any]:
        """Return what is said of tasks that were not judged before."""
        return {one: what for one, what in dict(tasks).items() if one not in self._judged}

    def _answers(self, wanted: set[int]) -> dict[int, dict[str, Any]]:
        """Return tasks as the server lists them, newest first; one it does not show is left out."""
        found: dict[int, dict[str, Any]] = {}
        page: int | None = 1
        while page and len(found) < len(wanted):
            answer = self.stack.get(f"/api/v1/tasks/?page_size={PAGE}&page={page}").json()
            found.update({one["id"]: one for one in answer["results"] if one["id"] in wanted})
            page = page + 1 if answer["next"] else None
        return found

    def _shown(self, task: dict[str, Any], stored: str, ends: tuple[str, ...]) -> Shown:
        """Return a task as the server shows it, with its log once that is complete."""
        log, is_complete = self._log(task["id"])
        if task["status"] in FINAL and not is_complete:
            wait_for(lambda: self.stack.is_complete(task["id"]), seconds=30)
            log, _ = self._log(task["id"])
        return Shown(
            status=task["status"],
            reason=task["reason"],
            stored=stored,
            ends=ends,
            log=log,
            expected_log=self.ledger.expected_log(task["id"]),
            truncated_bytes=task["log_truncated_bytes"],
        )

    def _log(self, task_id: int) -> tuple[bytes, bool]:
        """Return a task's log, and whether the server says that this is all of it."""
        answer = self.stack.get(f"/api/v1/tasks/{task_id}/log/?limit={8 * 1024 * 1024}")
        return answer.content, answer.headers.get("X-Log-Complete") == "true"

    def alive(self) -> dict[int, list[int]]:
        """Return the processes of each task that live, by the environment they carry."""
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


def heal_seconds() -> float:
    """Return within how long work must go on after the network is back; notes a longer bound."""
    crowd = os.getloadavg()[0] / ((os.cpu_count() or 1) * LOAD_PER_CORE)
    seconds = HEAL_SECONDS * max(1.0, crowd)
    if crowd > 1:
        note_fact(f"the machine was loaded: {seconds:.0f} s were given instead of {HEAL_SECONDS} s")
    return seconds


@contextmanager
def running_lab(
    directory: Path,
    *,
    agents: Sequence[str] = ("host1",),
    lines: int = 20,
    pause: float = PAUSE_SECONDS,
    wide_each: int = WIDE_EACH,
    prepare: Callable[[Stack], None] = lambda stack: None,
    **environment: str,
) -> Iterator[Lab]:
    """Yield a lab with its server and agents started; closes everything behind it.

    After a clean stop nothing of it may live: that is the last verdict. prepare is called
    before the first start.
    """
    stack = Stack(directory=directory, environment=environment, port=free_port())
    family = Family()
    try:
        prepare(stack)
        stack.start_server()
        lab = Lab(stack, lines=lines, pause=pause, wide_each=wide_each)
        for name in agents:
            lab.start_agent(name)
        yield lab
        found = leaks(stack, family)
        note_violations(found)
        assert found == []
    finally:
        stack.close()
        for process in family.living():
            process.kill()
        family.bury()
        family.end()


def leaks(stack: Stack, family: Family) -> list[Violation]:
    """Stop agents, then the server, and return what did not stop or outlived them."""
    found = [
        Violation("does_not_stop", 0, name)
        for name, process in [*stack.agents.items(), ("housekeeping", stack.housekeeping)]
        if process is not None and not _stopped(process)
    ]
    stack.end_processes()
    started = [one for one in (*stack.agents.values(), stack.server, stack.housekeeping) if one]
    deadline = time.monotonic() + LEAK_SECONDS
    while family.living() and time.monotonic() < deadline:
        family.bury(spare=[one.pid for one in started])
        time.sleep(0.1)
    return found + [Violation("leaked", 0, text) for text in described(family.living())]


def _stopped(process: subprocess.Popen[bytes]) -> bool:
    """Ask a process to end; returns whether it did."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def repeat(
    lab: Lab,
    trials: int,
    fault: Callable[[], int | None],
    *,
    busy: int = 16,
    within: Callable[[], float] = lambda: SETTLE_SECONDS,
) -> list[Violation]:
    """Make the fault so many times at random moments under load, then give the verdict.

    A fault returns how many trials it was, None for one.
    """
    for _ in range(trials):
        lab.keep_busy(busy)
        lab.pause()
        made = fault()
        lab.made(1 if made is None else made)
    return lab.verdict(within=within())
