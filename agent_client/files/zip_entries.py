"""Reads the directory of a zip archive, bounded, and refuses what is no file or directory."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from agent_client.files.archive_names import MAX_ENTRIES, Entry, refused

_END = b"PK\x05\x06"
_END_BYTES = 22
_MAX_COMMENT_BYTES = 65_535
_ZIP64_LOCATOR, _ZIP64_LOCATOR_BYTES = b"PK\x06\x07", 20
MAX_DIRECTORY_BYTES = 512 * MAX_ENTRIES
"""The standard library reads the whole directory into memory."""
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def open_zip(stream: BinaryIO) -> zipfile.ZipFile:
    """Return the archive once its directory is known to be of a bearable size."""
    stream.seek(0, 2)
    size = stream.tell()
    stream.seek(max(0, size - _ZIP64_LOCATOR_BYTES - _END_BYTES - _MAX_COMMENT_BYTES))
    tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise refused("it is cut off, or is no archive")
    if tail[max(0, at - _ZIP64_LOCATOR_BYTES) : at].startswith(_ZIP64_LOCATOR):
        # The library believes the fields of zip64 and not those that are looked at here, and
        # how it finds them differs between its versions.
        raise refused("it is a zip64 archive; pack it as tar")
    count, directory_bytes = struct.unpack("<HI", tail[at + 10 : at + 16])
    # All bits set stands for the larger fields of zip64.
    if count == 0xFFFF or directory_bytes > MAX_DIRECTORY_BYTES:
        raise refused("it has too many entries")
    stream.seek(0)
    try:
        return zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise refused(f"it is damaged ({error})") from error


def zip_entries(archive: zipfile.ZipFile) -> Iterator[tuple[Entry, zipfile.ZipInfo]]:
    """Yield the entries with what opens them; raises Rejected."""
    for info in archive.infolist():
        mode = info.external_attr >> 16
        kind = stat.S_IFMT(mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refused(f"{info.filename[:120]!a} is a link, a device or the like")
        if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
            raise refused(f"{info.filename[:120]!a} is encrypted or packed in an unusual way")
        if info.orig_filename != info.filename:
            # It was cut at a NUL, or rewritten: the name is not what others would see.
            raise refused(f"{info.filename[:120]!a} has a name that is not what it seems")
        is_directory = info.is_dir() or kind == stat.S_IFDIR
        if is_directory and info.file_size:
            raise refused(f"{info.filename[:120]!a} is a directory with content")
        yield Entry(info.filename, is_directory, info.file_size, bool(mode & 0o100)), info
