"""What every command of the queue shares: a client, printing, and errors as exit codes.

Text for people has its control characters escaped, because names and reasons are written
by others; JSON is printed as the server gave it. Errors go to stderr with the server's
sentence and its fields.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from agent_client.commands.api import ApiError, Client
from agent_client.commands.client_settings import load_client_settings
from agent_client.errors import AgentError

Work = Callable[[Client], int]


def with_client(work: Work) -> int:
    """Run work with a client of the configured server and return its exit code."""
    try:
        with Client(load_client_settings(os.environ)) as client:
            return work(client)
    except AgentError as error:
        print_error(error)
        return error.exit_code


def print_error(error: AgentError) -> None:
    """Print what went wrong, per field where the server says so, and a remedy if it is ours."""
    lines = [f"agent_client: {plain(error.detail)}"]
    if isinstance(error, ApiError):
        for name, sentences in error.fields.items():
            many = sentences if isinstance(sentences, list) else [sentences]
            lines += [f"  {plain(name)}: {plain(sentence)}" for sentence in many]
    elif error.remedy not in error.detail:
        lines.append(f"  {error.remedy}")
    print("\n".join(lines), file=sys.stderr)


def print_json(content: object) -> None:
    """Print content as JSON for other programs."""
    print(json.dumps(content, indent=2))


def plain(value: object) -> str:
    """Return a value as one safe line: nothing in it can command the terminal."""
    text = "" if value is None else str(value)
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows below their heads in columns; wide characters count as two."""
    cells = [[plain(cell) for cell in row] for row in [head, *rows]]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def stand(task: dict[str, Any]) -> str:
    """Return a task's status with the finer phase where it says more."""
    status, phase = task.get("status", ""), task.get("phase") or ""
    return f"{status} ({phase})" if phase and phase != status else str(status)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
