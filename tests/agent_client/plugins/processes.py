"""Finds what plug-ins of a test left behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil


def processes_with(directory: Path) -> list[psutil.Process]:
    """Return living processes whose command line or directory lies below a directory."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_ours = str(directory) in " ".join(one.cmdline()) or one.cwd().startswith(
                str(directory)
            )
            if is_ours and one.status() != psutil.STATUS_ZOMBIE and one.pid != os.getpid():
                found.append(one)
    return found
