"""Opens files for reading where the host's policy allows it, wherever links lead.

Links are resolved first, as text, and the place they lead to is checked. Then it is opened
step by step without following any link: so it is that place in this agent's own view of
the file system. A link through /proc/<pid>/root says one place and leads to another, and a
link may be swapped at any moment; neither is followed. Files below hidden directories (the
agent's own state, with its credential) are refused even where a root contains them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""Names a file without opening it: opening a device or a pipe can have effects."""
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotAllowed(Exception):
    """The file is elsewhere than the policy allows, or is none that can be read; says which."""


def open_allowed(path: str, *, directories: Sequence[str], hidden: Sequence[str]) -> int:
    """Return a descriptor of a plain file; raises NotAllowed or OSError."""
    real = os.path.realpath(path)
    check_allowed(real, directories=directories, hidden=hidden)
    place = _walk(real)
    try:
        found = os.fstat(place)
        if not stat.S_ISREG(found.st_mode):
            raise NotAllowed(f"{path} is no plain file")
        # Deleted since: it must not keep its space for somebody who follows it.
        if found.st_nlink == 0:
            raise FileNotFoundError(path)
        return os.open(f"/proc/self/fd/{place}", _READ)
    finally:
        os.close(place)


def _walk(real: str) -> int:
    """Return a descriptor that names a place, reached without following a link."""
    descriptor = os.open("/", _LOOK | os.O_DIRECTORY)
    *parents, last = Path(real).parts[1:] or (".",)
    for name, flags in [*((parent, os.O_DIRECTORY) for parent in parents), (last, 0)]:
        try:
            inner = os.open(name, _LOOK | flags, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
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
