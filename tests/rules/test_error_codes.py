"""One catalogue of error codes: what is raised is in it, what is in it is raised and documented."""

from __future__ import annotations

import ast

import pytest

from agent_client.protocol.error_codes import CODES
from tests.rules.error_codes import codes_in, named_by_tests, places_in, raised_codes
from tests.rules.source_tree import ROOT, name_of


def test_every_raised_code_is_in_the_catalogue() -> None:
    assert not {code: name_of(p) for code, p in raised_codes().items() if code not in CODES}


def test_every_code_of_the_catalogue_is_raised() -> None:
    assert not CODES.keys() - raised_codes().keys()


def test_every_code_of_the_catalogue_is_named_by_a_test() -> None:
    assert not CODES.keys() - named_by_tests()


SOURCE = """
class Refused(Exception):
    def __init__(self, code, detail): ...
class Report(Struct):
    seq: int
    code: str = "by_default"
class Talk:
    default_code = "of_the_class"
    def _refuse(self, message_id, code, detail): ...
def answer(status, code): ...
def use(talk):
    raise Refused("first", "The sentence.")
    Report(1, "of_a_field")
    talk._refuse("", "of_a_method" if talk else "of_the_other_branch", "Why.")
    answer(404, code="by_keyword")
    answer("not_a_code", "No code but a sentence.")
    other("not_a_code")
"""


def test_codes_are_found_wherever_they_are_given() -> None:
    tree = ast.parse(SOURCE)
    taken_at: dict[str, frozenset[int]] = {}
    for name, place in places_in(tree):
        taken_at[name] = taken_at.get(name, frozenset()) | {place}
    assert set(codes_in(tree, taken_at)) == {
        *("first", "of_a_field", "of_a_method", "of_the_other_branch"),
        *("by_keyword", "of_the_class", "by_default"),
    }


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
