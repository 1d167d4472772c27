"""Keeps an enrolment token out of the process list of a host.

Arguments of a process can be read by every user for as long as it runs, and an agent runs
for months. So a start with `--enroll TOKEN` replaces itself, in the same process, by one
without it: the token goes through a file that has no name and lives in memory only.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence

logger = logging.getLogger(__name__)

OPTION = "--enroll"
TOKEN_VARIABLE = "AGENT_ENROLL_TOKEN"  # noqa: S105 - the name of a variable
_SHORTEST_PREFIX = "--e"
"""An option may be shortened as far as it stays the only one."""

Execute = Callable[[str, list[str], dict[str, str]], object]


def hide(
    token: str | None,
    *,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    execute: Execute = os.execve,
) -> bool:
    """Start this process anew without the token in its arguments; False when it goes on.

    It goes on when there is nothing to hide, and where the system cannot do it: a host
    that is enrolled is worth more than one that is not.
    """
    cleaned = without_token(arguments, token) if token else list(arguments)
    if not token or cleaned == list(arguments) or not hasattr(os, "memfd_create"):
        return False
    descriptor = os.memfd_create("token", 0)  # not closed by the exec
    try:
        os.write(descriptor, token.encode())
        fresh = {name: text for name, text in environment.items() if name != TOKEN_VARIABLE}
        fresh[f"{TOKEN_VARIABLE}_FILE"] = f"/proc/self/fd/{descriptor}"
        execute(sys.executable, [sys.executable, *cleaned[1:]], fresh)
    except OSError as error:
        logger.warning("the token stays visible in the process list: %s", error)
        os.close(descriptor)
        return False
    return True


def without_token(arguments: Sequence[str], token: str) -> list[str]:
    """Return the arguments without the option and its value, however it was written."""
    kept: list[str] = []
    skip = False
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if skip:
            skip = False
        elif is_option(word) and following == token:
            skip = True
        elif is_option(word.partition("=")[0]) and word.partition("=")[2] == token:
            continue
        else:
            kept.append(word)
    return kept


def is_option(word: str) -> bool:
    """Tell whether a word is the option or a shortened form of it."""
    return OPTION.startswith(word) and len(word) >= len(_SHORTEST_PREFIX)
