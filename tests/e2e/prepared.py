"""What a first start leaves in the data directory, made once per run of the suite and then copied.

A first start spends seconds on migrations and on the first token; dozens of installations would
spend them again. Tests of the first start itself do without.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

home: Path | None = None
"""Where this run of the suite keeps it, shared by its workers; None: every start is a first one."""


def copy_to(data: Path, make: Callable[[Path], str]) -> str:
    """Copy the prepared directory to `data` and return the administrator's token in it.

    `make` prepares it where it is told to and returns that token; it is called once per run.
    """
    assert home is not None
    token = home / "token"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not token.exists():
            shutil.rmtree(home / "data", ignore_errors=True)
            token.write_text(make(home / "data"))
    shutil.copytree(home / "data", data, ignore=shutil.ignore_patterns("*.lock"))
    return token.read_text()
