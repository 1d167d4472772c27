"""The wheels that this installation offers to its hosts: its own, and former ones for a way back.

Owns the folder `agent_releases` of the data directory, one wheel a file. The own one is
built from the sources beside this program at the first need, so a fresh clone has it.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from agents.distribution.wheel import PACKAGE, Wheel, build_wheel

FOLDER = "agent_releases"
MAX_RELEASES = 20
KEPT_RELEASES = 5
_FILE_NAME = re.compile(r"dialer_agent-([0-9][0-9A-Za-z.+]{0,31})-py3-none-any\.whl")
_guard = threading.Lock()
_own: dict[Path, str] = {}
"""The version that this process has built into a folder."""


@dataclass(frozen=True, slots=True)
class Release:
    """A wheel on offer; sha256 is in hex."""

    version: str
    path: Path
    sha256: str
    size_bytes: int


def current() -> Release:
    """Return the wheel of this program's own agent, built when it is not there yet."""
    folder = settings.DIALER_DATA_DIR / FOLDER
    # Two first requests at once would build it twice; once a process is enough.
    with _guard:
        if folder not in _own:
            _own[folder] = publish(build_wheel(settings.BASE_DIR / PACKAGE), folder).version
        version = _own[folder]
    return find(version) or publish(build_wheel(settings.BASE_DIR / PACKAGE), folder)


def publish(wheel: Wheel, folder: Path) -> Release:
    """Put a wheel into the folder as a whole, or keep the same one that is there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / wheel.file_name
    if not path.exists() or path.read_bytes() != wheel.data:
        # A host that downloads meanwhile reads the former file to its end.
        temporary = path.with_suffix(f".{os.getpid()}.new")
        temporary.write_bytes(wheel.data)
        temporary.replace(path)
    return Release(wheel.version, path, wheel.sha256, len(wheel.data))


def find(version: str) -> Release | None:
    """Return the wheel of a version, None when this installation has none."""
    return next((one for one in on_offer() if one.version == version), None)


def on_offer() -> list[Release]:
    """Return all wheels, the newest file first; at most MAX_RELEASES are looked at."""
    folder = settings.DIALER_DATA_DIR / FOLDER
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if _FILE_NAME.fullmatch(path.name)]
    paths.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [_release(path) for path in paths[:MAX_RELEASES]]


def prune(keep: Collection[str]) -> list[str]:
    """Delete all wheels but the newest and those whose digest is named; return the versions."""
    mine = set(_own.values())
    old = [
        one
        for one in on_offer()[KEPT_RELEASES:]
        if one.sha256 not in keep and one.version not in mine
    ]
    for one in old:
        one.path.unlink(missing_ok=True)
    return [one.version for one in old]


def _release(path: Path) -> Release:
    """Return what a file in the folder offers."""
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(path.name)
    found = path.stat()
    return Release(match[1], path, _digest(path, found.st_mtime_ns, found.st_size), found.st_size)


@lru_cache(maxsize=4 * MAX_RELEASES)
def _digest(path: Path, _changed_ns: int, _size_bytes: int) -> str:
    """Return a file's digest; read once while it stays as it is, as anybody may ask for it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
