"""The catalogue of error codes in the reader's language, for the page and the API."""

from __future__ import annotations

from typing import NamedTuple

from django.utils.translation import get_language

from agent_client.protocol.error_codes import CODES


class ErrorHelp(NamedTuple):
    """One code for a person."""

    code: str
    meaning: str
    remedy: str


def explained(words: str = "") -> list[ErrorHelp]:
    """Return the codes in alphabetical order; words must all occur in one to be shown."""
    is_chinese = (get_language() or "").startswith("zh")
    found = [
        ErrorHelp(code, one.sentence_zh, one.remedy_zh)
        if is_chinese
        else ErrorHelp(code, one.sentence, one.remedy)
        for code, one in sorted(CODES.items())
    ]
    wanted = words.lower().split()
    return [one for one in found if all(word in " ".join(one).lower() for word in wanted)]
