"""What waits to be told about dial tests, and how telling it goes: for the host's own status."""

from __future__ import annotations

from typing import NamedTuple


class Backlog(NamedTuple):
    """The outbox and its uploader at one moment."""

    results: int = 0
    """Results that the server has not confirmed."""
    size_bytes: int = 0
    fill: float = 0.0
    """The share of its bound that is in use, 0 to 1; beyond it the oldest are dropped."""
    failures: int = 0
    """Tries in a row that failed."""
    refused: int = 0
    """Results that the server did not take."""
