"""File systems of a test's own, which it may fill, make read-only, or cut the power of.

An ext4 in a file on a loop device. A power cut is ext4's own shutdown without flushing its
journal: what was not synced is gone, what was synced is there after the next mount.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import prepared
from tests.e2e.stack import Stack, make_first_start, wait_for
from tests.services import missing

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
SIZE_MB = 96
SERVERS_SIZE_MB = 512
"""More than the reserve below which the server accepts no new task."""
FILLER, INODE_FILLERS, PROBE = "filler", "inodes", "probe"
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
        words = ",".join(("loop", "errors=remount-ro", *options))
        _run("mount", "-o", words, str(self._image), str(self.path))

    def unmount(self) -> None:
        """Unmount it, once nobody uses it any more, and wait until the kernel has let go of it.

        While another namespace still has it, the next mount would be the same file system again,
        as dead as it was.
        """
        wait_for(self._is_unmounted, seconds=30)
        wait_for(self._is_let_go, seconds=30)

    def cut_power(self) -> None:
        """Stop the file system dead: every call fails from now on, nothing more is written."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def turn_read_only(self) -> None:
        """Let the kernel find an error: the file system turns read-only under all who use it."""
        found = subprocess.run(
            ["findmnt", "-n", "-o", "SOURCE", str(self.path)], capture_output=True, check=True
        )
        device = Path(found.stdout.decode().strip()).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")

    def refusal(self) -> str:
        """Return the name of the error that a small new file meets now, empty for none."""
        probe = self.path / PROBE
        try:
            with probe.open("xb", buffering=0) as file:
                file.write(PIECE[:4096])
                os.fsync(file.fileno())
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
        return ""

    def fill(self) -> None:
        """Use up all space."""
        for piece in (PIECE, PIECE[:512]):
            with contextlib.suppress(OSError), (self.path / FILLER).open("ab", buffering=0) as file:
                while file.write(piece):
                    pass

    def use_all_inodes(self) -> None:
        """Use up all file names."""
        directory = self.path / INODE_FILLERS
        with contextlib.suppress(OSError):
            directory.mkdir(exist_ok=True)
            for number in itertools.count(len(list(directory.iterdir()))):
                (directory / str(number)).touch(exist_ok=False)

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

    def _is_let_go(self) -> bool:
        done = subprocess.run(["losetup", "-j", str(self._image)], capture_output=True, check=True)
        return not done.stdout


def let_go_of_disks() -> None:
    """Unmount the disks of other tests in this namespace of mounts, where they would live on."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, path = line.split()[:2]
        if device.startswith("/dev/loop"):
            _run("umount", "-l", path)


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


def put_prepared(stack: Stack) -> None:
    """Copy a first start onto the disk that is mounted as data directory: no test is about it."""
    if prepared.home is not None:
        staging = stack.directory / "prepared"
        token = prepared.copy_to(staging, make_first_start)
        shutil.copytree(staging, stack.data, dirs_exist_ok=True)
        _run("sync", "-f", str(stack.data))  # as what a server has written itself is
        stack.authorize(token)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
