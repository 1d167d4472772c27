"""What a person reads is marked for translation where it is written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import TypeGuard

import pytest

from dialer_platform import errors
from tests.rules.source_tree import name_of, template_files, tree_of
from tests.rules.texts import CALLS, called, server_files

ERRORS = {one.__name__ for one in errors.DomainError.__subclasses__()}
READ_BY_AGENTS = (
    "agents/consumers.py",
    "agents/conversation.py",
    "agents/credentials.py",
    "agents/endpoints.py",
    "agents/heartbeat_endpoint.py",
    "agents/plugins/budget.py",
    "agents/plugins/endpoints.py",
    "agents/plugins/intake.py",
    "agents/plugins/waiting.py",
    "agents/probe_duty.py",
    "agents/raw_http.py",
    "agents/registration_endpoint.py",
    "agents/services/enrolment.py",  # of registering; the sentences for people are marked
    "tasks/files/endpoints.py",
    "tasks/probes/ingest/writer.py",
)
"""Modules whose refusals only agents read, in their logs, which are English."""

SHOWN = ("title", "aria-label", "placeholder", "alt", "data-label")
SHOWN_BY_SCRIPTS = ("data-text", "data-confirm")
SAME_EVERYWHERE = {
    "Dialer",
    "Platform",
    "API",
    "CPU",
    "GPU",
    "SHA-256",
    "pid",
    "stdout",
    "stderr",
    "p50",
    "p95",
    "p99",
}
_TAG = re.compile(
    r"\{#.*?#\}|\{%\s*comment.*?endcomment\s*%\}|\{%\s*blocktranslate.*?endblocktranslate\s*%\}"
    r"|\{%.*?%\}|\{\{.*?\}\}",
    re.DOTALL,
)
_SENTENCE = re.compile(r"[A-Za-z] ")
_WORD = re.compile(r"(?<![/\w-])[A-Za-z][\w-]+")


def bare_sentences(tree: ast.AST) -> list[int]:
    """Return the lines where an error for people is given a sentence that is not marked."""
    refusals = (
        one for one in ast.walk(tree) if isinstance(one, ast.Call) and called(one) in ERRORS
    )
    return sorted({one.lineno for call in refusals for one in _unmarked(call) if _is_sentence(one)})


def _unmarked(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below a node, those inside gettext left out."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.Call) and called(child) in CALLS):
            yield child
            yield from _unmarked(child)


def _is_sentence(node: ast.AST) -> TypeGuard[ast.Constant]:
    """Tell whether a node is a text of several words."""
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and bool(_SENTENCE.search(node.value))
    )


class BareWords(HTMLParser):
    """Collects the words of a template that stand there without gettext."""

    def __init__(self, source: str) -> None:
        """Read a template; what its tags say is left out."""
        super().__init__()
        self.found: list[str] = []
        self.verbatim = 0
        self.feed(_TAG.sub(" ", source))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what attributes show."""
        self.verbatim += tag in ("code", "pre", "kbd")
        for name, value in attrs:
            if name in SHOWN or name.startswith(SHOWN_BY_SCRIPTS):
                self.handle_data(value or "")

    def handle_endtag(self, tag: str) -> None:
        """Leave a part that is shown as it is."""
        self.verbatim -= tag in ("code", "pre", "kbd")

    def handle_data(self, data: str) -> None:
        """Collect the words of a text."""
        if not self.verbatim:
            self.found += [word for word in _WORD.findall(data) if word not in SAME_EVERYWHERE]


def test_errors_for_people_are_said_in_their_language() -> None:
    assert not [
        f"{name_of(path)}:{line}"
        for path in server_files()
        for line in bare_sentences(tree_of(path))
        if name_of(path) not in READ_BY_AGENTS
    ]


def test_templates_say_nothing_without_gettext() -> None:
    found = {
        name_of(path): BareWords(path.read_text(encoding="utf-8")).found
        for path in template_files()
    }
    assert not {name: words for name, words in found.items() if words}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('raise Invalid("Bare here.")', [1]),
        ('raise Conflict(f"Bare {here} too.")', [1]),
        ('raise Invalid(_("Fine."), fields={"a": ["Bare here."]})', [1]),
        ('raise Invalid(_("Fine %(a)s.") % {"a": 1}, code="a_code")', []),
        ('raise ValueError("Not for people.")', []),
    ],
)
def test_bare_sentence_is_found(source: str, lines: list[int]) -> None:
    assert bare_sentences(ast.parse(source)) == lines


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<p>Two words</p>", ["Two", "words"]),
        ('<a title="Hint">{% translate "Fine" %}</a>', ["Hint"]),
        ('<a data-text-none="{% translate "Fine" %}" data-id="x" class="row">·</a>', []),
        ('<div data-confirm-title="Sure">{{ name }}</div>', ["Sure"]),
        ("{% blocktranslate %}Fine{% endblocktranslate %}{# a note #}", []),
        ("<code>ls -l</code> <b>GPU</b> /srv/data", []),
    ],
)
def test_bare_word_of_a_template_is_found(source: str, words: list[str]) -> None:
    assert BareWords(source).found == words
