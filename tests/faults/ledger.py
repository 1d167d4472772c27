"""The scripts' own record of what happened: a file that the platform never sees."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

SCRIPT = """
echo "START $DIALER_TASK_ID $$" >> {ledger}
for i in $(seq 1 {lines}); do
  echo "$DIALER_TASK_ID line $i"
  {more}
  sleep {pause}
done
echo "END $DIALER_TASK_ID $$" >> {ledger}
"""
WIDE_SCRIPT = 'seq -f "$DIALER_TASK_ID wide $i %06.0f {filler}" 1 {count}'
PAUSE_SECONDS = 0.03
WIDE_BYTES = 2_000_000
"""What a wide script prints: more than windows, frames and pipes hold."""
_FILLER = "." * 75
_WIDE_LINE_BYTES = 100


class Ledger:
    """Scripts append their start and end; the checks read it afterwards."""

    def __init__(self, path: Path, *, lines: int, pause: float = PAUSE_SECONDS) -> None:
        """Keep the ledger at path; every script prints so many lines, a pause after each."""
        self.path = path
        self.lines = lines
        self.pause = pause
        self.wide: set[int] = set()
        """The tasks that print some 2 MB more."""
        self._wide_lines = WIDE_BYTES // _WIDE_LINE_BYTES // lines
        path.touch()

    def script(self, *, is_wide: bool = False) -> str:
        """Return a script that enters itself and prints numbered lines."""
        more = WIDE_SCRIPT.format(filler=_FILLER, count=self._wide_lines) if is_wide else ":"
        return SCRIPT.format(ledger=self.path, lines=self.lines, pause=self.pause, more=more)

    def expected_log(self, task_id: int) -> bytes:
        """Return what the task must have printed."""
        count = self._wide_lines if task_id in self.wide else 0
        parts = []
        for number in range(1, self.lines + 1):
            parts.append(f"{task_id} line {number}\n")
            head = f"{task_id} wide {number} "
            parts += [f"{head}{n:06d} {_FILLER}\n" for n in range(1, count + 1)]
        return "".join(parts).encode()

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
