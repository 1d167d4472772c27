"""The agent's log file: one file, rotated by day or by size, old ones compressed and removed.

By day the file is `agent.2025.09.04.log`; without it `agent.log`. A file that reaches its
size is set aside as `agent.2025.09.04.1.log` (or `agent.1.log`) and compressed beside the
logging thread. Files of this name beyond the configured number or age are removed.
Used by one thread only. A failing write is counted and tried again with the next line; it
never reaches the program. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import logging
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
_MAX_LINE_BYTES = 64 * 1024
_CLOSE_SECONDS = 10.0
_CUT = " … (cut)".encode()


class PlaceError(OSError):
    """The directory cannot or must not hold the log."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is full and what is kept; 0 means no limit."""

    by_day: bool = True
    max_size_bytes: int = 0
    max_files: int = 5
    max_age_seconds: float = 0.0
    compress: bool = True


class LogFile(logging.Handler):
    """Writes formatted records to the current file of one name in one directory."""

    def __init__(
        self,
        directory: Path,
        name: str,
        rotation: Rotation,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Claim the name in the directory and open today's file; raises PlaceError."""
        super().__init__()
        self.write_errors = 0
        self._directory = directory
        self._name = name.removesuffix(".log")
        self._rotation = rotation
        self._clock = clock
        self._ours = files_of(self._name)
        self._workers: list[threading.Thread] = []
        self._room = threading.Semaphore(2)
        self._tidying = threading.Lock()
        self._switching = threading.Lock()  # what is current and what is old changes under it
        self._descriptor = -1
        self._lock_descriptor = _claim(directory, self._name)
        try:
            self._open(self._current_path())
        except OSError:
            os.close(self._lock_descriptor)
            raise
        self._tidy()

    @property
    def path(self) -> Path:
        """Return the file that is written now."""
        return self._path

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record as one write; rotate first when the file is full or old."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace")
            if len(line) > _MAX_LINE_BYTES:
                line = line[:_MAX_LINE_BYTES] + _CUT
            self._rotate_if_due(len(line) + 1)
            os.write(self._descriptor, line + b"\n")
        except OSError:
            self.write_errors += 1  # a full disk must not end the agent

    def close(self) -> None:
        """Finish compressing, close the file and give up the name."""
        for worker in self._workers:
            worker.join(timeout=_CLOSE_SECONDS)
        for descriptor in (self._descriptor, self._lock_descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock_descriptor = -1
        super().close()

    def _current_path(self) -> Path:
        day = datetime.fromtimestamp(self._clock()).strftime(".%Y.%m.%d")
        return self._directory / f"{self._name}{day if self._rotation.by_day else ''}.log"

    def _open(self, path: Path) -> None:
        descriptor = open_for_append(path)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._path = descriptor, path

    def _rotate_if_due(self, coming_bytes: int) -> None:
        """Change to the day's file, and set the file aside when the line does not fit.

        The size is asked of the file, not counted: sub-processes append to it as well.
        Names of days sort; when the clock is set back the later day's file goes on.
        """
        path = self._current_path()
        if path.name > self._path.name and self._rotation.by_day:
            with self._switching:
                self._open(path)
            self._tidy()
        limit, size = self._rotation.max_size_bytes, os.fstat(self._descriptor).st_size
        if limit and size and size + coming_bytes > limit:
            with self._switching:
                self._path.rename(self._free_name(self._path))
                self._open(self._path)
            self._tidy()

    def _free_name(self, path: Path) -> Path:
        """Return the name behind the highest number in use for this file."""
        pattern = re.compile(re.escape(path.stem) + r"\.(\d{1,9})\.log(\.gz)?")
        numbers = (pattern.fullmatch(entry.name) for entry in self._directory.iterdir())
        last = max((int(match[1]) for match in numbers if match), default=0)
        return path.with_name(f"{path.stem}.{last + 1}.log")

    def _tidy(self) -> None:
        """Compress and remove older files beside the logging thread.

        One run works and one may wait; what a third would do, the waiting one will.
        """
        if not self._room.acquire(blocking=False):
            return
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        worker = threading.Thread(target=self._tidy_now, name="log-tidy", daemon=True)
        self._workers.append(worker)
        worker.start()

    def _tidy_now(self) -> None:
        # Keeping too much is no reason to stop, so a failure only ends this run.
        with self._tidying, contextlib.suppress(OSError):
            with self._switching:
                excess = self._excess()
                kept = [path for path in self._older() if path not in excess]
            for path in excess:
                path.unlink(missing_ok=True)
            for path in kept:
                if self._rotation.compress and path.suffix != ".gz":
                    _compress(path)
        self._room.release()

    def _older(self) -> list[Path]:
        """Return the files of this name but the current one, newest first."""
        found = [
            (entry.stat().st_mtime, entry)
            for entry in self._directory.iterdir()
            if entry != self._path and self._ours.fullmatch(entry.name) and entry.is_file()
        ]
        return [path for _, path in sorted(found, reverse=True)]

    def _excess(self) -> list[Path]:
        """Return the files beyond the number and the age that are kept."""
        older, rotation = self._older(), self._rotation
        beyond = older[rotation.max_files :] if rotation.max_files else []
        if not rotation.max_age_seconds:
            return beyond
        oldest = self._clock() - rotation.max_age_seconds
        return list({*beyond, *(path for path in older if path.stat().st_mtime < oldest)})


def files_of(name: str) -> re.Pattern[str]:
    """Return the pattern of all file names that a log of a name ever has."""
    stem = re.escape(name.removesuffix(".log"))
    return re.compile(stem + r"(\.\d{4}\.\d\d\.\d\d)?(\.\d{1,9})?\.log(\.gz)?")


def open_for_append(path: Path) -> int:
    """Open a log file for appending; refuses links, special files and other people's files."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, _FILE_MODE)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(descriptor)
        raise PlaceError(f"{path} is not a regular file of this user")
    return descriptor


def _claim(directory: Path, name: str) -> int:
    """Create the directory and lock the name in it; two agents never share one file."""
    directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    for place in (directory, directory.parent):
        _refuse_foreign(place)
    descriptor = open_for_append(directory / f".{name}.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise PlaceError(f"another agent writes {name}.log there") from None
    return descriptor


def _refuse_foreign(place: Path) -> None:
    """Refuse a directory in which another user could swap the file for a link."""
    found = place.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise PlaceError(f"{place} belongs to another user")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise PlaceError(f"everybody may write to {place}")


def _compress(path: Path) -> None:
    """Replace a file by its .gz; a crash in between leaves the file as it was."""
    packed = path.with_name(path.name + ".gz")
    partial = path.with_name(f".{packed.name}.part")
    times = path.stat()
    with path.open("rb") as source, gzip.open(partial, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target, 256 * 1024)
    os.utime(partial, (times.st_atime, times.st_mtime))
    partial.chmod(stat.S_IMODE(times.st_mode))
    partial.rename(packed)
    path.unlink()
