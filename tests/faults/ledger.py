"""The scripts' own record of what happened: a file that the platform never sees."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

SCRIPT = """
echo "START $DIALER_TASK_ID" >> {ledger}
for i in $(seq 1 {lines}); do echo "$DIALER_TASK_ID line $i"; sleep 0.03; done
echo "END $DIALER_TASK_ID" >> {ledger}
"""


class Ledger:
    """Scripts append their start and end; the checks read it afterwards."""

    def __init__(self, path: Path, *, lines: int) -> None:
        """Keep the ledger at path; every script prints so many lines."""
        self.path = path
        self.lines = lines
        path.touch()

    @property
    def script(self) -> str:
        """Return a script that enters itself and prints numbered lines."""
        return SCRIPT.format(ledger=self.path, lines=self.lines)

    def expected_log(self, task_id: int) -> bytes:
        """Return what the task must have printed."""
        return "".join(f"{task_id} line {n}\n" for n in range(1, self.lines + 1)).encode()

    def count(self, what: str) -> Counter[int]:
        """Return how often each task entered START or END."""
        words = (line.split() for line in self.path.read_text().splitlines())
        return Counter(int(task_id) for kind, task_id in words if kind == what)
