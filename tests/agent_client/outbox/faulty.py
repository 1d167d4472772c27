"""A directory in memory that can fail any call, or lose power at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


class PowerCut(BaseException):
    """The machine is gone; nothing may handle it."""


@dataclass(eq=False)
class _File:
    data: bytearray = field(default_factory=bytearray)
    synced: int = 0


class FaultyFileSystem:
    """Fails the call number `fail_at` with `error`; a PowerCut keeps only what was synced.

    torn_bytes of what was written and not synced survive a cut, as they may on a disk.
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
            del file.data[file.synced + self._torn_bytes :]
            file.synced = len(file.data)
        self.fail_at = 0

    def damage(self, name: str, offset: int) -> None:
        """Flip a bit."""
        self._files[name].data[offset] ^= 1

    def _call(self, name: str) -> None:
        self.calls += 1
        self.log.append(name)
        if self.calls == self.fail_at and self.error is not None:
            raise self.error

    def names(self) -> Sequence[str]:
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
        self._call("fsync")
        file = self._open[descriptor]
        file.synced = len(file.data)

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        self._call("close")

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        self._call("read")
        data = self._files[name].data
        return bytes(data[offset:] if size < 0 else data[offset : offset + size])

    def truncate(self, name: str, size: int) -> None:
        self._call("truncate")
        del self._files[name].data[size:]

    def rename(self, source: str, target: str) -> None:
        self._call("rename")
        self._files[target] = self._files.pop(source)

    def unlink(self, name: str) -> None:
        self._call("unlink")
        del self._files[name]

    def sync_directory(self) -> None:
        self._call("sync_directory")
        self._durable = dict(self._files)
