"""Bytes that a probe sends or expects, written as text with escapes or as hex digits."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\"}


def payload(text: str) -> bytes:
    """Return the bytes of text with \\r, \\n, \\t, \\0, \\xNN and \\\\; raises ValueError.

    Characters are UTF-8, \\xNN is one byte whatever it means.
    """
    found, position = b"", 0
    for escape in _ESCAPE.finditer(text):
        found += text[position : escape.start()].encode()
        digits, letter = escape.groups()
        if digits is None and letter not in _SIMPLE:
            raise ValueError(f"\\{letter}")
        found += bytes((int(digits, 16),)) if digits else _SIMPLE[letter].encode()
        position = escape.end()
    return found + text[position:].encode()


def payload_problem(text: str) -> str:
    """Return what is wrong with such a text, "" when it can be used."""
    try:
        payload(text)
    except UnicodeEncodeError:
        return "Contains half a character: remove it."
    except ValueError as error:
        return f"{error} is no escape: use \\r, \\n, \\t, \\0, \\xNN, or \\\\ for a backslash."
    return ""
