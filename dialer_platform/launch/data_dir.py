"""The data directory: private to its owner and used by one server at a time.

Two servers on one SQLite file and one log directory would each believe to be the only
writer, so the second one is refused while the first holds the lock.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

PRIVATE_MODE = 0o700
LOCK_NAME = "server.lock"


class DataDirectoryInUse(Exception):
    """Another server process works in this data directory."""


def make_private(path: Path) -> bool:
    """Create the directory, or take the rights of others away; True when it had to."""
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_MODE)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077 == 0:
        return False
    path.chmod(PRIVATE_MODE)
    return True


def lock(path: Path) -> IO[str]:
    """Return the open lock, held until this process ends; raises DataDirectoryInUse.

    The lock is the kernel's: it ends with the process, however that dies.
    """
    file = (path / LOCK_NAME).open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        raise DataDirectoryInUse(f"process {owner or 'unknown'}") from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
