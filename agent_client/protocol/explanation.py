"""What the catalogue says about one error code. Pure data."""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """A code for a person: a sentence and a remedy, in English and in Chinese."""

    sentence: str
    remedy: str
    sentence_zh: str
    remedy_zh: str
