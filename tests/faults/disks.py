"""File systems of a test's own, which it may fill, make read-only, or cut the power of.

An ext4 in a file on a loop device. A power cut is ext4's own shutdown without flushing its
journal: what was not synced is gone, what was synced is there after the next mount.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.stack import wait_for
from tests.services import missing

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
SIZE_MB = 96
SERVERS_SIZE_MB = 512
"""More than the reserve below which the server accepts no new task."""
FILLER, INODE_FILLERS = "filler", "inodes"
PIECE = bytes(1024 * 1024)


class Disk:
    """One file system, mounted at `path`."""

    def __init__(self, image: Path, path: Path, *, size_mb: int, inodes: int | None) -> None:
        """Make and mount it."""
        self.path = path
        self._image = image
        with image.open("wb") as file:
            file.truncate(size_mb * 1024 * 1024)
        options = ["-N", str(inodes)] if inodes else []
        _run("mkfs.ext4", "-q", "-F", "-m", "0", *options, str(image))
        path.mkdir()
        self.mount()

    def mount(self, *options: str) -> None:
        """Mount it; after a power cut this replays the journal."""
        _run("mount", "-o", ",".join(("loop", *options)), str(self._image), str(self.path))

    def unmount(self) -> None:
        """Unmount it, once nobody uses it any more."""
        wait_for(self._is_unmounted, seconds=30)

    def cut_power(self) -> None:
        """Stop the file system dead: every call fails from now on, nothing more is written."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def fill(self) -> None:
        """Use up all space."""
        with contextlib.suppress(OSError), (self.path / FILLER).open("ab", buffering=0) as file:
            while file.write(PIECE):
                pass
        with contextlib.suppress(OSError), (self.path / FILLER).open("ab", buffering=0) as file:
            while file.write(b"\0" * 512):
                pass

    def use_all_inodes(self) -> None:
        """Use up all file names."""
        directory = self.path / INODE_FILLERS
        with contextlib.suppress(OSError):
            directory.mkdir(exist_ok=True)
            for number in range(1_000_000):
                (directory / str(number)).touch()

    def free(self) -> None:
        """Give back what was used up."""
        (self.path / FILLER).unlink(missing_ok=True)
        directory = self.path / INODE_FILLERS
        for name in list(directory.iterdir()) if directory.is_dir() else []:
            name.unlink()

    def close(self) -> None:
        """Unmount it and delete the image."""
        try:
            self.unmount()
        except AssertionError:
            # Somebody still has a file open: let it go as soon as they end.
            _run("umount", "-l", str(self.path))
        self._image.unlink(missing_ok=True)

    def _is_unmounted(self) -> bool:
        done = subprocess.run(["umount", str(self.path)], capture_output=True, check=False)
        return done.returncode == 0 or not os.path.ismount(self.path)


@contextmanager
def own_disk(
    directory: Path, name: str, *, size_mb: int = SIZE_MB, inodes: int | None = None
) -> Iterator[Disk]:
    """Yield a mounted disk; a host that allows none skips the test, or fails it in CI."""
    try:
        disk = Disk(directory / f"{name}.ext4", directory / name, size_mb=size_mb, inodes=inodes)
    except (OSError, subprocess.CalledProcessError) as error:
        words = getattr(error, "stderr", b"") or str(error)
        missing("a loop device (run as root with mkfs.ext4 and mount)", RuntimeError(words))
    try:
        yield disk
    finally:
        disk.close()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
