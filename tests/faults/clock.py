"""A wall clock that a test moves for the processes it starts; the monotonic one goes on."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from tests.services import missing

SOURCE = Path(__file__).with_name("clock_shim.c")
HOUR = 3600
TEN_YEARS = 10 * 365 * 24 * HOUR


class Clock:
    """The offset of one process's wall clock, in a file that the shim reads."""

    def __init__(self, library: Path, file: Path) -> None:
        """Begin with the true time."""
        self._file = file
        self._library = library
        self.jump(0)

    @property
    def environment(self) -> dict[str, str]:
        """Return what a process needs in its environment to live by this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_SHIM": str(self._file)}

    def jump(self, seconds: int) -> None:
        """Set the clock to the true time plus some seconds, at once."""
        data = struct.pack("q", seconds)
        if self._file.exists():
            # In place: the processes have mapped this very file.
            with self._file.open("r+b") as file:
                file.write(data)
        else:
            self._file.write_bytes(data)


def build_shim(directory: Path) -> Path:
    """Compile the shim; without a compiler the test is skipped, or fails in CI."""
    library = directory / "clock_shim.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        missing("a C compiler (cc)", error)
    return library
