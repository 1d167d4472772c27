"""Answers with a file's content: whole or one range, streamed, never shown in the browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from tasks.files.place import store
from tasks.models import StoredFile

PIECE_BYTES = 1024 * 1024
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


class ByteRange(NamedTuple):
    """The bytes from `start` up to, without, `end`."""

    start: int
    end: int


def answer_content(
    file: StoredFile, range_text: str, if_range: str
) -> tuple[HttpResponseBase, bool]:
    """Return the answer, and whether it begins with the first byte.

    What cannot be read as one range is answered whole, as HTTP wants it; one that lies
    past the end with 416.
    """
    size = file.size_bytes or 0
    etag = f'"{file.sha256}"'
    asked = _RANGE.fullmatch(range_text.strip()) if if_range in ("", etag) else None
    part = byte_range(asked[1], asked[2], size) if asked else ByteRange(0, size)
    if part is None:
        refusal = HttpResponse(status=416)
        refusal["Content-Range"] = f"bytes */{size}"
        return refusal, False
    response = StreamingHttpResponse(
        _pieces(file.pk, part), content_type="application/octet-stream"
    )
    if asked:
        response.status_code = 206
        response["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    response["Content-Length"] = str(part.end - part.start)
    response["Content-Disposition"] = content_disposition_header(True, file.name) or "attachment"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["X-Content-Type-Options"] = "nosniff"
    # Whatever a host sent must not run in the console's origin, however it is opened.
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response, part.start == 0


def byte_range(first: str, last: str, size: int) -> ByteRange | None:
    """Return the range that `first-last` means for a file of a size, None outside of it."""
    if not first:
        if not last or int(last) == 0:
            return None
        return ByteRange(max(size - int(last), 0), size) if size else None
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    return ByteRange(start, end) if start < end else None


async def _pieces(file_id: str, part: ByteRange) -> AsyncIterator[bytes]:
    """Yield the range piece by piece.

    Asynchronous, because Django collects a plain iterator whole before it sends any of it.
    """
    read = sync_to_async(store().read, thread_sensitive=False)
    offset = part.start
    while offset < part.end:
        piece = await read(file_id, offset, min(PIECE_BYTES, part.end - offset))
        if not piece:
            return
        yield piece
        offset += len(piece)
