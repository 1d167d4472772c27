"""What a transfer says in its task's log: few lines, and a bar that the console understands."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

EACH_SECONDS = 1.0
_WIDTH = 20
_UNITS = ("B", "kB", "MB", "GB", "TB")


class Progress:
    """Prints a bar of carriage returns at most once a second, and lines between."""

    def __init__(
        self, stream: TextIO = sys.stdout, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Print to a stream."""
        self._stream = stream
        self._clock = clock
        self._began_at = self._shown_at = clock()
        self._began_bytes: int | None = None
        self._is_open = False

    def say(self, text: str) -> None:
        """Print one line."""
        if self._is_open:
            self._stream.write("\n")
            self._is_open = False
        self._stream.write(text + "\n")
        self._stream.flush()

    def moved(self, done: int, total: int) -> None:
        """Show how far it is, if it was not shown within the last second."""
        now = self._clock()
        if self._began_bytes is None:
            self._began_bytes, self._began_at = done, now
        if now - self._shown_at < EACH_SECONDS or not total:
            return
        self._shown_at = now
        seconds = now - self._began_at
        rate = (done - self._began_bytes) / seconds if seconds else 0.0
        left = (total - done) / rate if rate else 0.0
        percent = int(100 * done / total)
        bar = "#" * (percent * _WIDTH // 100)
        self._stream.write(
            f"\r{percent:3}%|{bar:{_WIDTH}}| {amount(done)}/{amount(total)}"
            f" [{_clock_text(seconds)}<{_clock_text(left)}, {amount(int(rate))}/s]"
        )
        self._stream.flush()
        self._is_open = True


def amount(size: float) -> str:
    """Return a number of bytes as people read it, in powers of 1000."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit takes all")


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
