"""The scripts' own record of what happened: a file that the platform never sees."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

SCRIPT = """
echo "START $DIALER_TASK_ID $$" >> {ledger}
for i in $(seq 1 {lines}); do echo "$DIALER_TASK_ID line $i"; sleep {pause}; done
echo "END $DIALER_TASK_ID $$" >> {ledger}
"""
PAUSE_SECONDS = 0.03


class Ledger:
    """Scripts append their start and end; the checks read it afterwards."""

    def __init__(self, path: Path, *, lines: int, pause: float = PAUSE_SECONDS) -> None:
        """Keep the ledger at path; every script prints so many lines, a pause after each."""
        self.path = path
        self.lines = lines
        self.pause = pause
        path.touch()

    @property
    def script(self) -> str:
        """Return a script that enters itself and prints numbered lines."""
        return SCRIPT.format(ledger=self.path, lines=self.lines, pause=self.pause)

    def expected_log(self, task_id: int) -> bytes:
        """Return what the task must have printed."""
        return "".join(f"{task_id} line {n}\n" for n in range(1, self.lines + 1)).encode()

    def count(self, what: str) -> Counter[int]:
        """Return how often each task entered START or END."""
        return Counter(task_id for kind, task_id, _ in self._entries() if kind == what)

    def pids(self) -> dict[int, set[int]]:
        """Return the processes in which each task entered itself."""
        found: dict[int, set[int]] = {}
        for _, task_id, pid in self._entries():
            found.setdefault(task_id, set()).add(pid)
        return found

    def _entries(self) -> list[tuple[str, int, int]]:
        lines = (line.split() for line in self.path.read_text().splitlines())
        return [(words[0], int(words[1]), int(words[2])) for words in lines if len(words) == 3]
