"""Answers with log bytes: ranges with offsets in headers, tails, downloads as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _

from agent_client.protocol.frames import STREAM_IDS
from dialer_platform.errors import Invalid
from tasks.logs.files import reader
from tasks.logs.reading import MAX_READ_BYTES, LogReader
from tasks.models import Task

DEFAULT_LIMIT_BYTES = 1024 * 1024
DOWNLOAD_CHUNK_BYTES = 1024 * 1024
CONTENT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What part of a log is asked for."""

    offset: int = 0
    limit: int = DEFAULT_LIMIT_BYTES
    stream: int | None = None
    tail: int | None = None
    is_download: bool = False

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> LogQuery:
        """Return the query of a URL; raises Invalid with the field."""
        stream = query.get("stream", "")
        if stream and stream not in STREAM_IDS:
            raise _invalid("stream", _("Must be stdout or stderr."))
        return cls(
            offset=_number(query, "offset", 0) or 0,
            limit=min(_number(query, "limit", DEFAULT_LIMIT_BYTES) or 0, MAX_READ_BYTES),
            stream=STREAM_IDS.get(stream),
            tail=_number(query, "tail", None),
            is_download=query.get("download", "") not in ("", "0", "false"),
        )


def answer_log(task: Task, query: LogQuery) -> HttpResponseBase:
    """Return the asked part of a task's log."""
    log = reader(task.pk)
    if query.is_download:
        return _download(task, log, query)
    if query.tail is not None:
        found = log.tail(min(query.tail, MAX_READ_BYTES), stream=query.stream)
    else:
        found = log.read(query.offset, query.limit, stream=query.stream)
    response = HttpResponse(found.data, content_type=CONTENT_TYPE)
    response["X-Log-Offset"] = str(found.offset)
    _describe(response, task, log, found.size)
    return response


def is_complete(task: Task, merged_size: int) -> bool:
    """Return whether the task has ended and its whole log is stored."""
    return task.is_final and merged_size >= task.log_bytes


def _download(task: Task, log: LogReader, query: LogQuery) -> StreamingHttpResponse:
    """Return the whole log, as long as it is now, piece by piece."""
    size = log.size(query.stream)
    response = StreamingHttpResponse(_pieces(log, query, size), content_type=CONTENT_TYPE)
    response["Content-Disposition"] = f'attachment; filename="task-{task.pk}.log"'
    response["Content-Length"] = str(max(size - query.offset, 0))
    response["X-Log-Offset"] = str(query.offset)
    _describe(response, task, log, size)
    return response


async def _pieces(log: LogReader, query: LogQuery, size: int) -> AsyncIterator[bytes]:
    """Yield the log from the offset up to a size.

    Asynchronous, because Django collects a plain iterator whole before it sends any of it.
    """
    read = sync_to_async(log.read, thread_sensitive=False)
    offset = query.offset
    while offset < size:
        limit = min(DOWNLOAD_CHUNK_BYTES, size - offset)
        data = (await read(offset, limit, stream=query.stream)).data
        if not data:
            return
        yield data
        offset += len(data)


def _describe(response: HttpResponseBase, task: Task, log: LogReader, size: int) -> None:
    """Add the headers that let a reader go on."""
    response["X-Log-Size"] = str(size)
    response["X-Log-Complete"] = str(is_complete(task, log.size())).lower()
    response["X-Content-Type-Options"] = "nosniff"


def _number(query: Mapping[str, str], name: str, default: int | None) -> int | None:
    """Return a parameter as a number of bytes; raises Invalid."""
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise _invalid(name, _("Must be a whole number of bytes."))
    return int(text)


def _invalid(name: str, sentence: str) -> Invalid:
    """Return the error of one query parameter."""
    return Invalid(_("The request is not valid."), fields={name: [sentence]})
