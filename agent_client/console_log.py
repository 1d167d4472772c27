"""What the agent says on its standard error: everything to whoever reads along, little to a file.

A terminal, the journal or a container's log bound what they keep. A plain file, such as the
one that `manage.py up` gives its agent, is bounded by nobody: there the log's own file has
every line, and standard error only what is wrong, up to a limit. Standard library only.
"""

from __future__ import annotations

import logging
import os
import stat
from typing import TextIO

MAX_BYTES = 1024 * 1024
"""What goes into a plain file beside the log's own."""
MAX_BYTES_ALONE = 64 * 1024 * 1024
"""What goes into a plain file that is the only log there is."""


class ConsoleLog(logging.StreamHandler[TextIO]):
    """Writes rendered records to a stream, into a plain file only so many bytes."""

    def __init__(self, stream: TextIO, *, is_alone: bool, last_line: str) -> None:
        """is_alone: there is no file of the log; last_line is written when the limit is reached."""
        super().__init__(stream)
        self._last_line = last_line
        self._left: int | None = None
        """Bytes that may still be written, None for any number."""
        self._least_level = logging.NOTSET
        if is_plain_file(stream):
            self._left = MAX_BYTES_ALONE if is_alone else MAX_BYTES
            self._least_level = logging.NOTSET if is_alone else logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record when it is wanted here and there is room for it."""
        if record.levelno < self._least_level:
            return
        if self._left is None:
            super().emit(record)
        elif self._left > 0:
            self._left -= len(self.format(record).encode("utf-8", "replace")) + 1
            super().emit(record if self._left > 0 else self._end())

    def _end(self) -> logging.LogRecord:
        return logging.makeLogRecord({"msg": self._last_line, "levelno": logging.WARNING})


def is_plain_file(stream: TextIO) -> bool:
    """Return whether a stream ends in a file on a disk; False for one without a descriptor."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False
