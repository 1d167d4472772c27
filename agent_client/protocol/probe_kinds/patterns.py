"""Regular expressions that cannot hang, and the small path language for JSON answers.

Patterns are written by people and matched against what strangers answer. Python's own
matcher takes exponential time on some of them, so RE2, which is linear in the text, is
the only matcher; where it is not installed a pattern is refused, never run by `re`.
"""

from __future__ import annotations

import functools
import re
from typing import Any

try:
    import re2
except ImportError:  # an agent that needs no patterns runs without it
    re2 = None

MAX_PATTERN_CHARACTERS = 1_024
PATTERN_MEMORY_BYTES = 8 * 1024 * 1024
MAX_PATH_CHARACTERS = 256
_STEP = re.compile(r"\.?([A-Za-z_][\w-]*)|\[(-?\d{1,9})\]|\[\"([^\"\]]{1,128})\"\]")

Path = tuple[str | int, ...]


def pattern_problem(pattern: str) -> str:
    """Return what is wrong with a pattern, "" when it can be used."""
    if re2 is None:
        return "This installation cannot match patterns: install the package google-re2."
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return f"The pattern is longer than {MAX_PATTERN_CHARACTERS} characters: shorten it."
    try:
        compiled(pattern)
    except (ValueError, UnicodeEncodeError) as error:
        return f"RE2 does not accept the pattern ({error}): correct it."
    return ""


@functools.lru_cache(maxsize=1_024)
def compiled(pattern: str) -> Any:
    """Return the compiled pattern for bytes; raises ValueError with RE2's own words.

    Latin-1 would make `.` match half a character, so patterns and texts are UTF-8.
    """
    if re2 is None:
        raise ValueError("google-re2 is not installed")
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY_BYTES
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        words = error.args[0] if error.args else ""
        raise ValueError(words.decode() if isinstance(words, bytes) else str(words)) from None


def matches(pattern: str, content: bytes) -> bool:
    """Say whether the pattern occurs in the content, which is read as UTF-8."""
    return compiled(pattern).search(content.decode("utf-8", "replace")) is not None


@functools.lru_cache(maxsize=1_024)
def parse_path(text: str) -> Path:
    """Return the steps of `data.items[0].name` or `$.a["b c"]`; raises ValueError."""
    rest = text.removeprefix("$")
    steps: list[str | int] = []
    position = 0
    while position < len(rest):
        step = _STEP.match(rest, position)
        if step is None or len(text) > MAX_PATH_CHARACTERS:
            raise ValueError(f"cannot read {rest[position : position + 20]!r}")
        name, index, quoted = step.groups()
        steps.append(int(index) if index is not None else name or quoted)
        position = step.end()
    return tuple(steps)


def path_problem(text: str) -> str:
    """Return what is wrong with a path, "" when it can be used."""
    try:
        parse_path(text)
    except ValueError as error:
        return f'The path is wrong ({error}): write it like data.items[0].name or ["a b"].'
    return ""


def look_up(path: Path, value: Any) -> Any:
    """Return what the path leads to; raises LookupError naming the step that fails."""
    step: Any
    for step in path:
        # A number never indexes an object and a name never a list: JSON has no such member.
        if not isinstance(value, list if isinstance(step, int) else dict):
            raise LookupError(str(step))
        try:
            value = value[step]
        except LookupError:
            raise LookupError(str(step)) from None
    return value
