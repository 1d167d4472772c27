"""The pipe over which sub-agents wake the main agent: `<directory name> <event>` lines.

Hints may be lost (the pipe is never waited for): everything they say is on disk too.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_READ_BYTES = 64 * 1024


class Hints:
    """Reads the hints of all sub-agents; `write_end` is what they inherit."""

    def __init__(self, on_hint: Callable[[str], None]) -> None:
        self._on_hint = on_hint
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._rest = b""

    def begin(self) -> None:
        """Report every hint's directory name on the loop."""
        asyncio.get_running_loop().add_reader(self._read_end, self._read)

    def close(self) -> None:
        """Stop listening; sub-agents notice and go on without."""
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)
        os.close(self.write_end)

    def _read(self) -> None:
        try:
            data = os.read(self._read_end, _READ_BYTES)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_hint(line.partition(b" ")[0].decode("ascii", "replace"))
