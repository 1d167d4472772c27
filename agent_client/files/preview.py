"""Shows a file's head and tail, or the entries of a directory, as one JSON document."""

from __future__ import annotations

import codecs
import grp
import os
import pwd
import stat
from functools import lru_cache
from typing import Any

import msgspec

from agent_client.files.roots import Roots, explained, open_plain
from agent_client.protocol.transfers import Transfer

MAX_ENTRIES = 5_000
MAX_EXCERPT_BYTES = 256 * 1024
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ORDERS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""What is read from the middle of a file has no mark of its own."""
_LOOK_BYTES = 64 * 1024
_MARK_BYTES = 3


def preview(roots: Roots, transfer: Transfer) -> bytes:
    """Return the document about a path; raises Rejected or OSError."""
    _, below = roots.split(transfer.path)
    if not below:
        return msgspec.json.encode(_directory(roots, transfer.path))
    with roots.parent(transfer.path) as (directory, name):
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            raise explained(error, transfer.path) from error
        if not stat.S_ISDIR(found.st_mode):
            descriptor = open_plain(directory, name, transfer.path)
            try:
                return msgspec.json.encode(_file(descriptor, transfer))
            finally:
                os.close(descriptor)
    return msgspec.json.encode(_directory(roots, transfer.path))


def guess_encoding(data: bytes) -> str:
    """Return the name of the encoding that bytes are probably in, "" for no text at all."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return name
    if b"\0" in data:
        return ""
    for name in ("utf-8", "gb18030"):
        if _decodes(data, name):
            return name
    return "latin-1"


def _marked(data: bytes) -> bytes:
    """Return the beginning of a file when it says an encoding, else nothing."""
    return data if any(data.startswith(mark) for mark, _ in _BOMS) else b""


def _decodes(data: bytes, encoding: str) -> bool:
    """Return whether bytes are text of an encoding; the last character may be cut."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(data, final=False)
    except UnicodeDecodeError:
        return False
    return True


def _file(descriptor: int, transfer: Transfer) -> dict[str, Any]:
    """Return head and tail of an open file with what is known about it."""
    found = os.fstat(descriptor)
    head_bytes = min(transfer.head_bytes, MAX_EXCERPT_BYTES)
    tail_bytes = min(transfer.tail_bytes, MAX_EXCERPT_BYTES)
    head = os.pread(descriptor, head_bytes, 0)
    begin = max(found.st_size - tail_bytes, len(head))
    mark = os.pread(descriptor, _MARK_BYTES, 0)
    encoding = guess_encoding(head or _marked(mark) or os.pread(descriptor, _LOOK_BYTES, begin))
    # Characters of two bytes begin at even places.
    begin += begin % 2 if encoding == "utf-16" else 0
    tail = os.pread(descriptor, tail_bytes, begin) if tail_bytes else b""
    return {
        "type": "file",
        "path": transfer.path,
        **_facts(found),
        "encoding": encoding,
        "is_binary": not encoding,
        "head": _text(head, encoding),
        "tail": _text(tail, _ORDERS.get(mark[:2], encoding) if encoding == "utf-16" else encoding),
        "head_bytes": len(head),
        "tail_bytes": len(tail),
    }


def _text(data: bytes, encoding: str) -> str:
    """Return bytes as text; a cut character at either end is shown as a replacement."""
    return data.decode(encoding, "replace") if encoding else ""


def _directory(roots: Roots, path: str) -> dict[str, Any]:
    """Return the entries of a directory, directories first, each by name."""
    entries: list[dict[str, Any]] = []
    truncated = False
    with roots.directory(path) as directory, os.scandir(directory) as found:
        for entry in found:
            if len(entries) >= MAX_ENTRIES:
                truncated = True
                break
            entries.append(_entry(entry))
    entries.sort(key=lambda one: (one["type"] != "directory", one["name"]))
    return {"type": "directory", "path": path, "entries": entries, "truncated": truncated}


def _entry(entry: os.DirEntry[str]) -> dict[str, Any]:
    """Return what is shown of one entry; one that vanished meanwhile is shown by its name."""
    name = entry.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return {"name": name, "type": "other", "size_bytes": 0, "modified_at": 0.0}
    return {"name": name, "type": _kind(found.st_mode), **_facts(found)}


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "directory"), (stat.S_ISREG, "file"), (stat.S_ISLNK, "link"))
    return next((name for test, name in kinds if test(mode)), "other")


def _facts(found: os.stat_result) -> dict[str, Any]:
    return {
        "size_bytes": found.st_size,
        "modified_at": found.st_mtime,
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
        "owner": f"{_user(found.st_uid)}:{_group(found.st_gid)}",
    }


@lru_cache(maxsize=1_000)
def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@lru_cache(maxsize=1_000)
def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
