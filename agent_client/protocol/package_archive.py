"""Reads a plug-in's package without trusting anything in it, for server and agent alike. Pure.

A reader of its own: the one of the standard library follows the headers of pax and GNU,
and one of 120,000 digits held all threads of a server for 12 s. `plugin-pack` writes none
of them, so they are refused unread. Every name and size is checked before it is used, and
what was compressed is never unpacked beyond its limit.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Container
from typing import NamedTuple

from agent_client.protocol.plugin_package import MAX_DEPTH, MAX_FILES, MAX_UNPACKED_BYTES

BLOCK_BYTES = 512
HEADER_ROOM_BYTES = 2 * 1024 * 1024
"""What the archive may have beside its files."""
_PIECE_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9_+@=,-][A-Za-z0-9_.+@=,-]{0,99}\Z")
"""Of one component: what needs no quoting anywhere, and never begins with a dot."""
_OCTAL = re.compile(rb"[0-7]{1,11}\Z")
_FILE, _DIRECTORY = (b"0", b"\0"), b"5"
_EXECUTABLE = 0o100


class BadPackage(Exception):
    """The package is not to be used; the text says why."""


class TooMuch(BadPackage):
    """It holds or unpacks to more than a package may."""


class Content(NamedTuple):
    """One file of a package."""

    data: bytes
    is_executable: bool


class _Header(NamedTuple):
    """What comes before each file or directory."""

    name: str
    is_directory: bool
    is_executable: bool
    size_bytes: int


def read_archive(data: bytes, *, only: Container[str] | None = None) -> dict[str, Content]:
    """Return the files of a package by name, all or `only` some; raises BadPackage.

    Everything is checked, also what is not returned.
    """
    stream = _Unzipped(data, MAX_UNPACKED_BYTES + HEADER_ROOM_BYTES)
    found: dict[str, Content] = {}
    seen = _Seen()
    try:
        while (block := stream.read(BLOCK_BYTES)) != bytes(BLOCK_BYTES):
            header = _header_of(block)
            seen.add(header)
            if only is None or header.name in only:
                content = stream.read(header.size_bytes)
                if not header.is_directory:
                    found[header.name] = Content(content, header.is_executable)
            else:
                stream.skip(header.size_bytes)
            stream.skip(-header.size_bytes % BLOCK_BYTES)
        # The checksum comes last; only who reads on compares it.
        stream.skip_all()
    except zlib.error as error:
        raise BadPackage(f"it is damaged: {error}") from error
    return found


class _Unzipped:
    """Gives what one gzip file holds, forward only, and never more than a number of bytes."""

    def __init__(self, data: bytes, limit_bytes: int) -> None:
        self._data = memoryview(data)
        self._at = 0
        # One member, counted and checked in C: a million empty ones would cost a loop each.
        self._zip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._ready = bytearray()
        self._left_bytes = limit_bytes

    def read(self, size_bytes: int) -> bytes:
        """Return exactly so many bytes; raises BadPackage."""
        while len(self._ready) < size_bytes:
            self._unzip()
        data = bytes(self._ready[:size_bytes])
        del self._ready[:size_bytes]
        return data

    def skip(self, size_bytes: int) -> None:
        """Go on behind so many bytes without keeping them."""
        while size_bytes > len(self._ready):
            size_bytes -= len(self._ready)
            self._ready.clear()
            self._unzip()
        del self._ready[:size_bytes]

    def skip_all(self) -> None:
        """Read to the end, where the checksum is."""
        while not self._zip.eof:
            self._ready.clear()
            self._unzip()
        if self._zip.unused_data or self._at < len(self._data):
            raise BadPackage("it is damaged: something comes after its end")

    def _unzip(self) -> None:
        """Unpack a little more."""
        if self._zip.eof:
            raise BadPackage("it is cut off, or no archive")
        piece: bytes | memoryview = self._zip.unconsumed_tail
        if not piece:
            # In pieces: what is not consumed at once is copied each time.
            piece = self._data[self._at : self._at + _PIECE_BYTES]
            self._at += len(piece)
        more = self._zip.decompress(piece, _PIECE_BYTES)
        if not piece and not more and not self._zip.eof:
            raise BadPackage("it is cut off")
        self._left_bytes -= len(more)
        if self._left_bytes < 0:
            raise TooMuch("it unpacks to too many bytes")
        self._ready += more


class _Seen:
    """The names so far, and how much they promise; refuses what no package of ours has."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._directories: set[str] = set()
        self._total_bytes = 0

    def add(self, header: _Header) -> None:
        """Note an entry; raises BadPackage. By its header: nothing of it has been read yet."""
        name = header.name
        # Names are checked as they are: cleaning them up is how escapes slip through.
        parts = name.split("/")
        if len(parts) > MAX_DEPTH or not all(_NAME.match(part) for part in parts):
            raise BadPackage(f"it has a name that is not allowed: {name[:200]!r}")
        # A file that is a directory elsewhere would decide by its order which one wins.
        parents = {"/".join(parts[:count]) for count in range(1, len(parts))}
        is_directory = header.is_directory
        if (
            name in self._files
            or parents & self._files
            or (name in self._directories and not is_directory)
        ):
            raise BadPackage(f"it has a name twice: {name!r}")
        self._directories |= parents
        (self._directories if is_directory else self._files).add(name)
        if len(self._files) > MAX_FILES or len(self._directories) > MAX_FILES:
            raise TooMuch(f"it has more than {MAX_FILES} files")
        self._total_bytes += header.size_bytes
        if self._total_bytes > MAX_UNPACKED_BYTES:
            raise TooMuch(f"it unpacks to more than {MAX_UNPACKED_BYTES // 1024**2} MiB")


def _header_of(block: bytes) -> _Header:
    """Return what a header says; raises BadPackage for all but plain files and directories."""
    if sum(block) - sum(block[148:156]) + 8 * 32 != _number(block[148:156]):
        raise BadPackage("it is damaged, or no archive")
    name = _name(block)
    kind = block[156:157]
    if kind not in (*_FILE, _DIRECTORY):
        raise BadPackage(f"it has something that is no plain file: {name[:200]!r}")
    size_bytes = _number(block[124:136])
    if kind == _DIRECTORY:
        if size_bytes:
            raise BadPackage(f"it has a directory with content: {name[:200]!r}")
        return _Header(name.removesuffix("/"), True, False, 0)
    return _Header(name, False, bool(_number(block[100:108]) & _EXECUTABLE), size_bytes)


def _name(block: bytes) -> str:
    """Return the name in a header, with the prefix that ustar has for long ones."""
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("latin-1")


def _number(field: bytes) -> int:
    """Return an octal number; raises BadPackage, also for GNU's large ones."""
    text = field.partition(b"\0")[0].strip(b" ")
    if not _OCTAL.match(text):
        raise BadPackage("it is damaged, or no archive")
    return int(text, 8)
