"""Opens files for reading where the host's policy allows it, wherever links lead.

What counts is where the opened file really is, asked of the kernel after the open: a link
that is swapped meanwhile changes nothing. Files below hidden directories (the agent's own
state, with its credential) are refused even where a root contains them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path


class NotAllowed(Exception):
    """The file is elsewhere than the policy allows, or is none that can be read; says which."""


def open_allowed(path: str, *, directories: Sequence[str], hidden: Sequence[str]) -> int:
    """Return a descriptor of a plain file; raises NotAllowed or OSError."""
    # Looked at first, so that nothing outside is even opened: that could have effects.
    check_allowed(os.path.realpath(path), directories=directories, hidden=hidden)
    # Without O_NONBLOCK a pipe would wait here for somebody who writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotAllowed(f"{path} is no plain file")
        # A file deleted meanwhile has a made-up name in /proc, which compares to nothing.
        if found.st_nlink == 0:
            raise FileNotFoundError(path)
        check_allowed(_place_of(descriptor, path), directories=directories, hidden=hidden)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_allowed(real: str, *, directories: Sequence[str], hidden: Sequence[str]) -> None:
    """Refuse a path without links that is not below a root, or below a hidden directory."""
    place = Path(real)
    if not any(place.is_relative_to(os.path.realpath(root)) for root in directories):
        listed = ", ".join(directories) or "none"
        raise NotAllowed(f"{real} is outside of the policy's directories ({listed})")
    # The default root is the home directory, and the agent keeps its credential below it.
    if any(place.is_relative_to(os.path.realpath(one)) for one in hidden):
        raise NotAllowed(f"{real} belongs to the agent")


def _place_of(descriptor: int, path: str) -> str:
    """Return where an open file is."""
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:  # a system without /proc: the best there is
        return os.path.realpath(path)
