"""What a process asks of the system, in order: strace attached to it for a while."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.e2e.stack import wait_for
from tests.services import missing

CALLS = "fsync,fdatasync,sendto,recvfrom"
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")


class Call(NamedTuple):
    """One call: a sync stands where it had returned, anything else where it began."""

    name: str
    text: str


@contextmanager
def traced(pid: int, file: Path) -> Iterator[None]:
    """Write the calls of a process and its threads to a file meanwhile."""
    if shutil.which("strace") is None:
        missing("strace", FileNotFoundError("strace"))
    errors = file.with_suffix(".err")
    command = ["strace", "-f", "-yy", "-s", "3000", "-e", f"trace={CALLS}", "-o", str(file)]
    with errors.open("wb") as output:
        tracer = subprocess.Popen([*command, "-p", str(pid)], stderr=output)
    try:
        wait_for(lambda: "attached" in errors.read_text())
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)


def calls_in(file: Path) -> list[Call]:
    """Return the calls that strace wrote, in order."""
    found: list[Call] = []
    begun: dict[tuple[str, str], str] = {}
    for line in file.read_text("utf-8", "replace").splitlines():
        if call := _CALL.match(line):
            thread, name, text = call.groups()
            if name.endswith("sync") and text.endswith("<unfinished ...>"):
                begun[thread, name] = text
            elif not name.endswith("sync") or text.endswith("= 0"):
                found.append(Call(name, text))
        elif resumed := _RESUMED.match(line):
            thread, name, rest = resumed.groups()
            if name.endswith("sync") and rest.endswith("= 0"):
                found.append(Call(name, begun.pop((thread, name))))
    return found


def has_synced(calls: list[Call], path: str, *, since: str = "", until: str) -> bool:
    """Return whether a file was synced before the first call that contains `until`.

    With `since` only what follows the first call that contains it counts.
    """
    texts = [call.text for call in calls]
    first = next((n for n, text in enumerate(texts) if since in text), len(texts))
    last = next(n for n, text in enumerate(texts) if until in text and n > first)
    between = calls[first:last]
    return any(call.name.endswith("sync") and path in call.text for call in between)
