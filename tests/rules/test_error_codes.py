"""One catalogue of error codes: what is raised is in it, what is in it is raised and documented."""

from __future__ import annotations

import pytest

from agent_client.protocol.error_codes import CODES
from tests.rules.error_codes import raised_codes
from tests.rules.source_tree import ROOT, name_of


def test_every_raised_code_is_in_the_catalogue() -> None:
    assert not {code: name_of(p) for code, p in raised_codes().items() if code not in CODES}


def test_every_code_of_the_catalogue_is_raised() -> None:
    assert not CODES.keys() - raised_codes().keys()


@pytest.mark.parametrize("code", CODES)
def test_code_is_explained_in_both_languages(code: str) -> None:
    explained = CODES[code]
    assert all(text.strip() for text in explained)
    assert explained.sentence.endswith(".")
    assert any(ord(char) > 0x2E80 for char in explained.sentence_zh)
    assert any(ord(char) > 0x2E80 for char in explained.remedy_zh)


def test_document_lists_every_code() -> None:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    rows = [f"| `{code}` | {one.sentence} | {one.remedy} |" for code, one in CODES.items()]
    assert not [row for row in rows if row not in text]
