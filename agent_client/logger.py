"""The agent's log: one for the main process, its threads and its sub-processes.

Callers use `logging.getLogger(__name__)`; a record is rendered in the caller's thread and
handed to a bounded queue, so a slow disk or a stalled terminal never holds up the agent:
when the queue is full the line is dropped and counted, and the log says how many. One
thread writes file and console. Sub-processes append whole lines with `append_line`.
Control characters are escaped and tokens are masked in every line. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from agent_client.catalogue import Language, Line
from agent_client.console_log import ConsoleLog
from agent_client.log_file import LogFile, Rotation, open_for_append

if TYPE_CHECKING:
    from agent_client.config import LoggingConfig

PACKAGE = "agent_client"
QUEUE_SIZE = 10_000
_STOP_SECONDS = 5.0
_TOKEN = re.compile(r"\b(dp[aeptu]_[A-Za-z0-9_-]{1,4})[A-Za-z0-9_-]{8,}")
# C0, DEL, C1, the separators that some viewers break lines at, and what reorders text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape(text: str) -> str:
    """Return text as one line: control characters as \\x1b, \\n and so on, tokens masked."""
    safe = _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return _TOKEN.sub(r"\1…", safe)


class TextFormatter(logging.Formatter):
    """Renders `2026-11-21 10:00:00,123 [INFO] …`; a traceback follows in indented lines."""

    def __init__(self, language: Language = "en") -> None:
        """Keep the language of catalogue lines."""
        super().__init__()
        self.language = language

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, and the escaped traceback below it."""
        head = f"{self._time(record)} [{record.levelname}] {escape(self.message_of(record))}"
        return "\n    ".join([head, *self._traceback(record)])

    def message_of(self, record: logging.LogRecord) -> str:
        """Return the message; a faulty format string degrades to its parts."""
        if isinstance(record.msg, Line):
            return record.msg.text(self.language)
        try:
            return record.getMessage()
        except (TypeError, ValueError, KeyError):
            return f"{record.msg} {record.args}"

    def _time(self, record: logging.LogRecord) -> str:
        whole = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        return f"{whole},{int(record.msecs):03d}"

    def _traceback(self, record: logging.LogRecord) -> list[str]:
        if not record.exc_info or not record.exc_info[0]:
            return []
        return [escape(line) for line in self.formatException(record.exc_info).splitlines()]


class JsonFormatter(TextFormatter):
    """Renders one JSON object per line, with a catalogue line's key and values as fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON; times are local with offset."""
        content: dict[str, Any] = {
            "time": self._time(record) + time.strftime("%z", time.localtime(record.created)),
            "level": record.levelname,
            "logger": record.name,
            "thread": record.threadName,
            "message": escape(self.message_of(record)),
        }
        if isinstance(record.msg, Line):
            fields = {name: escape(str(value)) for name, value in record.msg.values.items()}
            content |= {"event": record.msg.key, "fields": fields}
        if traceback := self._traceback(record):
            content["traceback"] = traceback
        return json.dumps(content, ensure_ascii=False)


class _Rendered(logging.Formatter):
    """Passes on what the queue's formatter has rendered already."""

    def format(self, record: logging.LogRecord) -> str:
        return str(record.msg)


class _Entrance(logging.handlers.QueueHandler):
    """Renders in the caller's thread and never waits for room."""

    def __init__(self, lines: queue.Queue[Any], formatter: logging.Formatter) -> None:
        super().__init__(lines)
        self.lines = lines
        self.setFormatter(formatter)
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a record that holds the rendered text only."""
        text = self.format(record)
        return logging.makeLogRecord({"msg": text, "levelno": record.levelno, "args": None})

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put the record, or drop and count it; emit holds the handler's lock here."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class _Writer(logging.handlers.QueueListener):
    """The one thread that writes; says how many lines were dropped once there is room."""

    def __init__(self, entrance: _Entrance, *handlers: logging.Handler) -> None:
        super().__init__(entrance.lines, *handlers)
        self._entrance = entrance
        self._told = 0

    def handle(self, record: logging.LogRecord) -> None:
        """Write the record, and before it the number of lines lost since the last."""
        count = self._entrance.dropped - self._told
        if count:
            self._told += count
            line = Line("lines_dropped", count=count)
            level = {"levelname": "WARNING", "levelno": logging.WARNING}
            notice = logging.makeLogRecord({"msg": line, "args": None, **level})
            super().handle(self._entrance.prepare(notice))
        super().handle(record)

    def enqueue_sentinel(self) -> None:
        """Ask the thread to end; waits a bounded time for room in the queue."""
        with contextlib.suppress(queue.Full):
            self._entrance.lines.put(None, timeout=_STOP_SECONDS)

    def stop(self) -> None:
        """Write what waits and end the thread; a stuck device is left behind after 5 s."""
        thread: threading.Thread | None = self._thread
        if thread is None:
            return
        self.enqueue_sentinel()
        thread.join(_STOP_SECONDS)
        self._thread = None


def _worth_keeping(record: logging.LogRecord) -> bool:
    """Return whether a record is the agent's own or at least a warning of a library."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] == PACKAGE


class AgentLog:
    """The running log; `close` writes what waits and gives the loggers back."""

    def __init__(self, formatter: logging.Formatter, handlers: list[logging.Handler]) -> None:
        """Start the writing thread; handlers get rendered records."""
        for handler in handlers:
            handler.setFormatter(_Rendered())
        self._handlers = handlers
        self._entrance = _Entrance(queue.Queue(QUEUE_SIZE), formatter)
        self._writer = _Writer(self._entrance, *handlers)
        self._writer.start()

    @property
    def dropped(self) -> int:
        """Return how many lines were dropped because the queue was full."""
        return self._entrance.dropped

    @property
    def path(self) -> Path | None:
        """Return the file written now, None when there is only the console."""
        return next((found.path for found in self._handlers if isinstance(found, LogFile)), None)

    def attach(self, level: str) -> None:
        """Take the records of the agent from level on, and of libraries from WARNING on."""
        self._entrance.addFilter(_worth_keeping)
        logging.getLogger().addHandler(self._entrance)
        logging.getLogger(PACKAGE).setLevel(level)

    def close(self) -> None:
        """Detach, write what waits, close the file."""
        logging.getLogger().removeHandler(self._entrance)
        self._writer.stop()
        for handler in self._handlers:
            handler.close()


def setup_logging(
    config: LoggingConfig,
    *,
    state_dir: Path,
    language: Language = "en",
    console: TextIO | None = None,
    clock: Callable[[], float] = time.time,
) -> AgentLog:
    """Start the log that config describes and return it.

    Where the configured directory cannot be used, `<state_dir>/logs` is, and where neither
    can, the console alone; the first line of the log says so.
    """
    kind = JsonFormatter if config.log_format == "json" else TextFormatter
    file, problem = _open_file(config, state_dir, clock)
    place = str(file.path.parent) if file else "-"
    stream = ConsoleLog(
        console or sys.stderr,
        is_alone=file is None,
        last_line=Line("console_full", place=place).text(language),
    )
    log = AgentLog(kind(language), [file, stream] if file else [stream])
    log.attach(config.log_mode)
    if problem:
        used = str(log.path.parent) if log.path else "console"
        line = Line("log_elsewhere", wanted=config.directory, problem=problem, used=used)
        logging.getLogger(__name__).warning(line)
    return log


def fallback(state_dir: Path) -> Path:
    """Return where the log is when its own directory cannot be used."""
    return state_dir / "logs"


def catch_unhandled(logger: logging.Logger) -> None:
    """Send exceptions that nobody handles, of the program and of threads, to the log."""
    sys.excepthook = lambda kind, error, trace: logger.critical(
        "unhandled %s", kind.__name__, exc_info=(kind, error, trace)
    )
    threading.excepthook = lambda found: logger.critical(
        "unhandled %s in thread %s",
        found.exc_type.__name__,
        found.thread.name if found.thread else "?",
        exc_info=found.exc_value,
    )


def append_line(path: Path, level: str, message: str) -> bool:
    """Append one line from a sub-process to the log file in a single write.

    Opens the file each time, so it follows a rotation. Returns False when it cannot.
    """
    record = logging.makeLogRecord({"msg": message, "levelname": level, "args": None})
    data = (TextFormatter().format(record) + "\n").encode("utf-8", "backslashreplace")
    try:
        descriptor = open_for_append(path)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def child_environment(log: AgentLog) -> Mapping[str, str]:
    """Return the variable that tells a sub-process where to append its lines."""
    return {"DIALER_AGENT_LOG": str(log.path)} if log.path else {}


def _open_file(
    config: LoggingConfig, state_dir: Path, clock: Callable[[], float]
) -> tuple[LogFile | None, str]:
    """Return the file in the first usable place, and why a better place was not used."""
    rotation = Rotation(
        by_day=config.log_rotation,
        max_size_bytes=config.max_size_bytes,
        max_files=config.log_max_files,
        max_age_seconds=config.max_age_seconds,
        compress=config.log_compress,
    )
    problem = ""
    for directory in (config.directory, fallback(state_dir)):
        try:
            return LogFile(directory, config.log_name, rotation, clock=clock), problem
        except OSError as error:
            problem = problem or str(error)
    return None, problem
