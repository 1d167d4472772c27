"""Notices at once when a file grows: inotify where there is one, else looking at its size.

Callbacks run on the loop's thread. With inotify an idle watch costs nothing and a written
line is noticed within a fraction of a millisecond; events of a burst are taken together.
Without it (another system, or the user's limit of watches is reached) sizes are looked at
every 20 ms, ever more rarely while nothing happens, at last once a second.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import struct
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

_IN_MODIFY = 0x2
_EVENT = struct.Struct("iIII")
_READ_BYTES = 64 * 1024
FIRST_LOOK_SECONDS = 0.02
LAST_LOOK_SECONDS = 1.0


class Inotify:
    """The kernel's notices of writes; raises OSError where there are none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the notices and have the loop read them."""
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError as error:
            raise OSError("inotify is not part of this system") from error
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._loop = loop
        self._callbacks: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._descriptor, self._read)

    def add(self, path: Path, callback: Callable[[], None]) -> int:
        """Call back after each write to path; returns the watch. Raises OSError."""
        watch: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), _IN_MODIFY)
        if watch < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        self._callbacks[watch] = callback
        return watch

    def remove(self, watch: int) -> None:
        """End one watch."""
        if self._callbacks.pop(watch, None) is not None:
            self._libc.inotify_rm_watch(self._descriptor, watch)

    def close(self) -> None:
        """End all watches."""
        self._callbacks.clear()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        """Take the waiting notices and call back once for each file in them."""
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        position, watches = 0, set()
        while position < len(data):
            watch, _, _, name_bytes = _EVENT.unpack_from(data, position)
            position += _EVENT.size + name_bytes
            watches.add(watch)
        for watch in watches:
            callback = self._callbacks.get(watch)
            if callback is not None:
                callback()


class FileWatch:
    """Watches files by the best means there is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, use_inotify: bool = True) -> None:
        """Try inotify; without it say so once and look at sizes."""
        self._loop = loop
        self._inotify: Inotify | None = None
        self._watches: dict[Path, int] = {}
        self._looks: dict[Path, _Look] = {}
        if use_inotify:
            try:
                self._inotify = Inotify(loop)
            except OSError as error:
                logger.info("no inotify here (%s), looking at file sizes instead", error)

    def add(self, path: Path, callback: Callable[[], None]) -> None:
        """Call back whenever path has grown, until `remove`; adding twice is harmless."""
        if path in self._watches or path in self._looks:
            return
        if self._inotify is not None:
            try:
                self._watches[path] = self._inotify.add(path, callback)
                return
            except OSError as error:
                logger.debug("no inotify watch for %s (%s)", path, error)
        self._looks[path] = _Look(self._loop, path, callback)

    def remove(self, path: Path) -> None:
        """End the watch of path; one that is not watched is ignored."""
        watch = self._watches.pop(path, None)
        if watch is not None and self._inotify is not None:
            self._inotify.remove(watch)
        look = self._looks.pop(path, None)
        if look is not None:
            look.cancel()

    def close(self) -> None:
        """End all watches."""
        for path in [*self._watches, *self._looks]:
            self.remove(path)
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None


class _Look:
    """Looks at one file's size, ever more rarely while it stays the same."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, path: Path, callback: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._path = path
        self._callback = callback
        self._size = -1
        self._pause_seconds = FIRST_LOOK_SECONDS
        self._timer = loop.call_later(0, self._look)

    def cancel(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        """Compare the size with the last one and plan the next look."""
        try:
            size = self._path.stat().st_size
        except OSError:
            size = -1
        if size != self._size:
            self._size = size
            self._pause_seconds = FIRST_LOOK_SECONDS
            self._callback()
        else:
            self._pause_seconds = min(self._pause_seconds * 1.5, LAST_LOOK_SECONDS)
        self._timer = self._loop.call_later(self._pause_seconds, self._look)
