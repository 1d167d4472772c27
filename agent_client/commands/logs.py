"""`logs`: print a task's log byte for byte; `-f` goes on until all of it is stored.

Reads by byte offset, so a lost connection costs nothing: it is made again with growing
pauses and reading goes on at the next byte. The pause between reads grows while nothing
comes. Never changes a byte of the log.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

from agent_client.commands.api import ApiError, Client, Reply
from agent_client.commands.session import print_json, with_client
from agent_client.errors import ExitCode, Retryable

T = TypeVar("T")

READ_BYTES = 1024 * 1024
FINAL = frozenset({"completed", "failed", "canceled"})
_QUIET_FIRST_SECONDS = 0.1
_QUIET_MAX_SECONDS = 1.0
_RECONNECT_FIRST_SECONDS = 0.5
_RECONNECT_MAX_SECONDS = 10.0
_GIVE_UP_SECONDS = 30.0
"""How long a final task's log may stay incomplete before we stop waiting for the rest."""


def run(options: argparse.Namespace) -> int:
    """Print or follow the log."""
    return with_client(lambda client: _logs(client, options))


def _logs(client: Client, options: argparse.Namespace) -> int:
    if options.json:
        return _print_facts(client, options)
    target, offset = sys.stdout.buffer, options.offset
    if options.tail is not None:
        offset = _copy_tail(client, options, target)
    if options.follow:
        follow(client, options.id, target, offset=offset, stream=options.stream)
    else:
        _copy(client, options.id, target, offset=offset, stream=options.stream)
    return ExitCode.OK


def follow(
    client: Client,
    task_id: int,
    target: BinaryIO,
    *,
    offset: int = 0,
    stream: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Write the log to target until it is complete, and return the final task.

    Raises ApiError for an error that waiting cannot mend; a lost server is waited for.
    """
    reader = _Reader(client, task_id, stream, sleep)
    quiet, waited = _QUIET_FIRST_SECONDS, 0.0
    while True:
        chunk, _, complete = reader.read(offset)
        if chunk:
            target.write(chunk)
            target.flush()
            offset += len(chunk)
            quiet, waited = _QUIET_FIRST_SECONDS, 0.0
            continue
        if complete or (waited > _GIVE_UP_SECONDS and reader.task()["status"] in FINAL):
            return reader.task()
        sleep(quiet)
        waited += quiet
        quiet = min(quiet * 1.5, _QUIET_MAX_SECONDS)


def exit_code_of(task: dict[str, Any]) -> int:
    """Return a final task's exit code as a shell would: 128 + n for signal n, else 1."""
    if task.get("exit_code") is not None:
        return int(task["exit_code"]) & 0xFF
    return 128 + int(task["signal"]) if task.get("signal") else 1


class _Reader:
    """Reads one task's log and waits out a server that is away."""

    def __init__(
        self, client: Client, task_id: int, stream: str | None, sleep: Callable[[float], None]
    ) -> None:
        self._client = client
        self._task_id = task_id
        self._stream = stream
        self._sleep = sleep

    def read(self, offset: int) -> tuple[bytes, int, bool]:
        """Return the bytes from offset, the log's size, and whether all is stored."""
        return self._patient(
            lambda: _read(self._client, self._task_id, offset=offset, stream=self._stream)
        )

    def task(self) -> dict[str, Any]:
        """Return the task as it stands."""
        found: dict[str, Any] = self._patient(lambda: self._client.get(f"tasks/{self._task_id}/"))
        return found

    def _patient(self, ask: Callable[[], T]) -> T:
        """Ask until the server answers; say once on stderr that it is away."""
        pause = _RECONNECT_FIRST_SECONDS
        while True:
            try:
                return ask()
            except (Retryable, ApiError) as error:
                if isinstance(error, ApiError) and error.status < 500 and error.status != 429:
                    raise
                if pause == _RECONNECT_FIRST_SECONDS:
                    print(f"agent_client: {error.detail}; trying again", file=sys.stderr)
            self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects
            pause = min(pause * 2, _RECONNECT_MAX_SECONDS)


def _copy_tail(client: Client, options: argparse.Namespace, target: BinaryIO) -> int:
    """Write the last bytes to target and return the offset behind them."""
    query = {"tail": max(0, options.tail), "stream": options.stream}
    reply = client.fetch("GET", f"tasks/{options.id}/log/", query=query)
    target.write(reply.body)
    return reply.number("X-Log-Offset") + len(reply.body)


def _copy(
    client: Client, task_id: int, target: BinaryIO, *, offset: int, stream: str | None
) -> None:
    """Write what is stored now to target."""
    while True:
        chunk, size, _ = _read(client, task_id, offset=offset, stream=stream)
        target.write(chunk)
        offset += len(chunk)
        if not chunk or offset >= size:
            return


def _read(
    client: Client, task_id: int, *, offset: int, stream: str | None
) -> tuple[bytes, int, bool]:
    """Return bytes, size and completeness of one read."""
    query = {"offset": offset, "limit": READ_BYTES, "stream": stream}
    reply: Reply = client.fetch("GET", f"tasks/{task_id}/log/", query=query)
    complete = reply.headers.get("X-Log-Complete", "").lower() == "true"
    return reply.body, reply.number("X-Log-Size"), complete


def _print_facts(client: Client, options: argparse.Namespace) -> int:
    """Print the log as one JSON object; bytes that are no UTF-8 become U+FFFD."""
    chunk, size, complete = _read(client, options.id, offset=options.offset, stream=options.stream)
    print_json(
        {
            "id": options.id,
            "offset": options.offset,
            "next": options.offset + len(chunk),
            "size": size,
            "complete": complete,
            "text": chunk.decode("utf-8", "replace"),
        }
    )
    return ExitCode.OK
