"""What a host says about itself, cut to a bounded, plain shape before it is stored.

Everything an agent sends is hostile: keys and texts are limited, depth is limited,
anything else is dropped. Pages escape it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_KEYS = 64
MAX_ITEMS = 256
MAX_TEXT_CHARACTERS = 512
MAX_DEPTH = 4


def bounded_system(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts as JSON data of limited size."""
    bounded = _bounded(facts, MAX_DEPTH)
    return bounded if isinstance(bounded, dict) else {}


def bounded_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return at most 32 labels of at most 63 characters each."""
    pairs = list(labels.items())[:32]
    return {_clean(key, 63): _clean(value, 63) for key, value in pairs if key}


def _bounded(value: Any, depth: int) -> Any:
    """Return a value without what is too deep, too long or not JSON."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _clean(value, MAX_TEXT_CHARACTERS)
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        pairs = list(value.items())[:MAX_KEYS]
        return {_clean(str(key), 64): _bounded(item, depth - 1) for key, item in pairs}
    if isinstance(value, list | tuple):
        return [_bounded(item, depth - 1) for item in value[:MAX_ITEMS]]
    return None


def _clean(text: str, limit: int) -> str:
    """Return the text without NUL, which PostgreSQL refuses, and cut to the limit."""
    return text.replace("\0", "")[:limit]
