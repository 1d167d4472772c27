"""Reads the headers of a tar archive, and refuses everything that is no file or directory.

A reader of its own: the one of the standard library keeps long headers of any size in
memory and has a history of names that changed after they were checked. Knows ustar, the
long names of GNU and of pax; no links, devices, sparse files or anything unheard of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from agent_client.files.archive_names import Entry, refused

BLOCK_BYTES = 512
MAX_EXTRA_BYTES = 64 * 1024
"""A long name or a set of pax fields is never longer."""
MAX_GLOBAL_HEADERS = 100
_FILE, _DIRECTORY = (b"0", b"\0", b"7"), b"5"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"
_EXECUTABLE = 0o100


def tar_entries(stream: BinaryIO) -> Iterator[Entry]:
    """Yield the entries; after each the stream may be read up to its size, or not at all.

    The stream is only read forward. Raises Rejected for a broken or a hostile archive.
    """
    reader = _Reader(stream)
    ahead: dict[str, str] = {}
    for _ in range(MAX_GLOBAL_HEADERS + 4 * 1_000_000):
        block = reader.block()
        if block == bytes(BLOCK_BYTES):
            return
        _check_sum(block)
        kind, size = block[156:157], _number(block[124:136])
        if kind in (_LONG_NAME, _PAX, _PAX_GLOBAL, _LONG_LINK):
            data = reader.appendix(size)
            if kind == _LONG_NAME:
                ahead["path"] = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif kind == _PAX:
                ahead |= _pax_fields(data)
            continue
        size = int(ahead["size"]) if ahead.get("size", "").isdigit() else size
        entry = _entry(block, kind, ahead.get("path") or _name(block), size, reader.position)
        ahead = {}
        yield entry
        reader.skip_to(entry.offset + _padded(entry.size))
    raise refused("it does not end")


class _Reader:
    """Reads forward and knows where it is; the caller may read in between."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    @property
    def position(self) -> int:
        return self._stream.tell()

    def block(self) -> bytes:
        """Return the next header, a block of zeros at the end."""
        data = self._stream.read(BLOCK_BYTES)
        if data and len(data) < BLOCK_BYTES:
            raise refused("it is cut off")
        return data or bytes(BLOCK_BYTES)

    def appendix(self, size: int) -> bytes:
        """Return the data of a header about the next header."""
        if size > MAX_EXTRA_BYTES:
            raise refused("it has a header that is too long")
        data = self._stream.read(_padded(size))
        if len(data) < size:
            raise refused("it is cut off")
        return data[:size]

    def skip_to(self, position: int) -> None:
        """Go on behind an entry's data."""
        self._stream.seek(position)
        if self._stream.tell() != position:
            raise refused("it is cut off")


def _entry(block: bytes, kind: bytes, name: str, size: int, offset: int) -> Entry:
    """Return an entry; raises Rejected for what is neither file nor directory."""
    is_directory = kind == _DIRECTORY or (kind in _FILE and name.endswith("/"))
    if kind != _DIRECTORY and kind not in _FILE:
        raise refused(f"{name[:120]!a} is a link, a device or the like")
    mode = _number(block[100:108])
    if is_directory and size:
        raise refused(f"{name[:120]!a} is a directory with content")
    return Entry(name, is_directory, size, bool(mode & _EXECUTABLE), offset)


def _name(block: bytes) -> str:
    """Return the name of a header, with the prefix that ustar has."""
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].split(b"\0", 1)[0]
        name = prefix + b"/" + name if prefix else name
    return name.decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Return a number: octal, or GNU's binary form for large ones; raises Rejected."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.split(b"\0", 1)[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise refused("it has a header with a number that is none") from None


def _check_sum(block: bytes) -> None:
    """Raise Rejected for a header that is not one."""
    total = sum(block) - sum(block[148:156]) + 8 * 32
    if _number(block[148:156]) != total:
        raise refused("it has a broken header, or is no archive")


def _pax_fields(data: bytes) -> dict[str, str]:
    """Return the fields of a pax header that concern us; raises Rejected for a broken one."""
    found: dict[str, str] = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length[:9]) <= len(data):
            raise refused("it has a broken pax header")
        key, is_field, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        data = data[int(length) :]
        if not is_field:
            raise refused("it has a broken pax header")
        name = key.decode("utf-8", "replace")
        if name.startswith("GNU.sparse"):
            raise refused("it has a sparse file")
        if name in ("path", "size"):
            found[name] = value.decode("utf-8", "surrogateescape")
    return found


def _padded(size: int) -> int:
    """Return a size rounded up to whole blocks."""
    return (size + BLOCK_BYTES - 1) // BLOCK_BYTES * BLOCK_BYTES
