"""Every text that the console says in the reader's language, read from the sources.

Needs no gettext tools: templates go through Django's own `templatize`, Python through
`ast`. The kinds of probes belong to the protocol and know nothing of gettext, so their
words are read from what they declare. Says each text with the places where it stands.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from django.utils.translation.template import templatize

from agent_client.protocol import probe_kinds
from tests.rules.source_tree import name_of, python_files, template_files, tree_of

# The place of each argument: context, text, plural.
_SINGLE = (None, 0, None)
_PLURAL = (None, 0, 1)
CALLS: dict[str, tuple[int | None, int, int | None]] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), _SINGLE),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), _PLURAL),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), (0, 1, None)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), (0, 1, 2)),
}
# What templatize makes of a tag: a call with string literals, which it may break after a comma.
_LITERAL = r"""u?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_CALL = re.compile(rf"\b(_|n?p?gettext)\(\s*({_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*[,)]")


class Text(NamedTuple):
    """One text as a catalogue knows it."""

    context: str | None
    single: str
    plural: str | None


@cache
def marked_texts() -> dict[Text, list[str]]:
    """Return every marked text of the server with the names of the files it stands in."""
    found: dict[Text, list[str]] = defaultdict(list)
    for path in template_files():
        for text in texts_of_template(path.read_text(encoding="utf-8")):
            found[text].append(name_of(path))
    for path in server_files():
        for text in texts_of_module(tree_of(path)):
            found[text].append(name_of(path))
    for kind, words in texts_of_kinds():
        found[Text(None, words, None)].append(f"probe kind {kind}")
    return found


def server_files() -> list[Path]:
    """Return the modules that may use gettext: all but those of the agent."""
    return [path for path in python_files() if not name_of(path).startswith("agent_client/")]


def texts_of_template(source: str) -> Iterator[Text]:
    """Yield the texts of translate and blocktranslate tags and of `_("…")` in a template."""
    for name, literals in _CALL.findall(templatize(source)):
        arguments = ast.literal_eval(f"({literals},)")
        yield _text(CALLS[name], dict(enumerate(arguments)))


def texts_of_kinds() -> Iterator[tuple[str, str]]:
    """Yield what each kind of probe says about itself and its settings, beside its name."""
    for name, spec in probe_kinds.SPECS.items():
        for words in (spec.title, spec.summary, spec.target_help):
            yield name, words
        for field in probe_kinds.fields(name):
            yield from ((name, words) for words in (field.label, field.help) if words)


def texts_of_module(tree: ast.AST) -> Iterator[Text]:
    """Yield the texts that a module hands to gettext as literals."""
    for call in calls_in(tree):
        given = {
            place: one for place, one in enumerate(map(_literal, call.args)) if one is not None
        }
        places = CALLS[called(call)]
        if all(place in given for place in places if place is not None):
            yield _text(places, given)


def unreadable_calls(tree: ast.AST) -> Iterator[int]:
    """Yield the lines where gettext is given something that is no literal."""
    for call in calls_in(tree):
        if not all(
            place < len(call.args) and _literal(call.args[place]) is not None
            for place in CALLS[called(call)]
            if place is not None
        ):
            yield call.lineno


def calls_in(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of a function of the gettext family."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in CALLS:
            yield node


def called(call: ast.Call) -> str:
    """Return the last part of the name that is called."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _literal(node: ast.expr) -> str | None:
    """Return the text of a literal."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _text(places: tuple[int | None, int, int | None], given: dict[int, str]) -> Text:
    """Return the text whose parts stand at these places."""
    context, single, plural = places
    return Text(
        given[context] if context is not None else None,
        given[single],
        given[plural] if plural is not None else None,
    )
