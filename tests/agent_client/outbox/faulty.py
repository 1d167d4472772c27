"""A directory in memory that can fail any call, or lose power at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


class PowerCut(BaseException):
    """The machine is gone; nothing may handle it."""


@dataclass(eq=False)
class _File:
    """What readers see, and what the disk has; the end of what is seen may not be synced."""

    data: bytearray = field(default_factory=bytearray)
    disk: bytearray = field(default_factory=bytearray)
    clean: int = 0
    """Up to here the kernel has nothing to write any more, whether it was written or not."""

    def sync(self) -> None:
        """Write what is dirty; what a failed sync has dropped before stays a hole."""
        self.disk.extend(bytes(max(0, self.clean - len(self.disk))))
        self.disk[self.clean :] = self.data[self.clean :]
        self.clean = len(self.data)

    def forget(self) -> None:
        """Mark everything clean that was never written: what a kernel does when a sync fails."""
        self.clean = len(self.data)

    def truncate(self, size: int) -> None:
        """Cut the file; on the disk only with the next sync."""
        del self.data[size:]
        self.clean = min(self.clean, size)

    def cut_power(self, torn_bytes: int) -> None:
        """Keep what the disk has, and perhaps some of what was on its way."""
        if self.clean >= len(self.disk):
            self.disk.extend(bytes(self.clean - len(self.disk)) if torn_bytes else b"")
            self.disk.extend(self.data[len(self.disk) :][:torn_bytes])
        self.data = bytearray(self.disk)
        self.clean = len(self.data)


class FaultyFileSystem:
    """Fails the call number `fail_at` with `error`; a PowerCut keeps only what was synced.

    torn_bytes of what was written and not synced survive a cut, as they may on a disk. After
    a failed fsync the written bytes can be read and never reach the disk, also when later
    ones succeed: so it is on ext4, XFS and Btrfs (ATC'20, "Can Applications Recover from
    fsync Failures?").
    """

    def __init__(self, torn_bytes: int = 0) -> None:
        self.calls = 0
        self.fail_at = 0
        self.error: BaseException | None = None
        self.log: list[str] = []
        self._torn_bytes = torn_bytes
        self._files: dict[str, _File] = {}
        self._durable: dict[str, _File] = {}
        self._open: dict[int, _File] = {}
        self._descriptor = 2

    def cut_power(self) -> None:
        """Lose what was not synced: bytes and names."""
        self._files = dict(self._durable)
        self._open = {}
        for file in self._files.values():
            file.cut_power(self._torn_bytes)
        self.fail_at = 0

    def fail_after(self, calls: int, error: BaseException) -> None:
        """Fail the call that is so many away."""
        self.fail_at, self.error = self.calls + calls, error

    def damage(self, name: str, offset: int) -> None:
        """Flip a bit, on the disk too."""
        file = self._files[name]
        file.data[offset] ^= 1
        if offset < len(file.disk):
            file.disk[offset] ^= 1

    def _call(self, name: str) -> None:
        self.calls += 1
        self.log.append(name)
        if self.calls == self.fail_at and self.error is not None:
            raise self.error

    def names(self) -> Sequence[str]:
        self._call("names")
        return list(self._files)

    def open(self, name: str) -> int:
        self._call("open")
        self._descriptor += 1
        self._open[self._descriptor] = self._files.setdefault(name, _File())
        return self._descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        taken = data[: max(1, len(data) // 2)]  # short writes are always possible
        try:
            self._call("write")
        except OSError:
            self._open[descriptor].data += taken
            raise
        self._open[descriptor].data += taken
        return len(taken)

    def fsync(self, descriptor: int) -> None:
        try:
            self._call("fsync")
        except OSError:
            self._open[descriptor].forget()
            raise
        self._open[descriptor].sync()

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        self._call("close")

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        self._call("read")
        data = self._files[name].data
        return bytes(data[offset:] if size < 0 else data[offset : offset + size])

    def truncate(self, name: str, size: int) -> None:
        self._call("truncate")
        self._files[name].truncate(size)

    def rename(self, source: str, target: str) -> None:
        self._call("rename")
        self._files[target] = self._files.pop(source)

    def unlink(self, name: str) -> None:
        self._call("unlink")
        del self._files[name]

    def sync_directory(self) -> None:
        self._call("sync_directory")
        self._durable = dict(self._files)
