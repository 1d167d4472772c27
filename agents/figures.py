"""Reads single figures of what a host says, with their type checked: it may say anything."""

from __future__ import annotations

from typing import Any


def number_of(value: Any) -> float:
    """Return a figure that a host sent, 0 when it is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else 0.0


def text_of(value: Any) -> str:
    """Return a text that a host sent, empty when it is none."""
    return value if isinstance(value, str) else ""
