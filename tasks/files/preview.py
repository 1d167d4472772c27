"""What a host shows of a file or directory: read with care, for the host may send anything."""

from __future__ import annotations

from typing import Literal

import msgspec

MAX_PREVIEW_BYTES = 4 * 1024 * 1024
"""5,000 entries with the longest names, or head and tail whose every byte is escaped."""
MAX_ENTRIES = 5_000

EntryType = Literal["file", "directory", "link", "other"]


class Entry(msgspec.Struct, frozen=True):
    """One entry of a directory; times are seconds since the epoch or ISO text."""

    name: str
    type: EntryType
    size_bytes: int | None = None
    modified_at: float | str | None = None
    mode: int | str | None = None
    owner: str = ""


class DirectoryPreview(msgspec.Struct, frozen=True, tag_field="type", tag="directory"):
    """The entries of a directory, directories first."""

    path: str
    entries: tuple[Entry, ...] = ()
    truncated: bool = False


class FilePreview(msgspec.Struct, frozen=True, tag_field="type", tag="file"):
    """Head and tail of a file, decoded with the encoding that was guessed."""

    path: str
    size_bytes: int
    modified_at: float | str | None = None
    mode: int | str | None = None
    owner: str = ""
    encoding: str = ""
    is_binary: bool = False
    head: str = ""
    tail: str = ""
    head_bytes: int = 0
    tail_bytes: int = 0


Preview = DirectoryPreview | FilePreview

_decoder = msgspec.json.Decoder(Preview)


def read_preview(data: bytes) -> Preview | None:
    """Return the preview of its JSON, None for what is none or has too many entries."""
    try:
        preview: Preview = _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    is_long = isinstance(preview, DirectoryPreview) and len(preview.entries) > MAX_ENTRIES
    return None if is_long else preview
