"""Every text of the console has its Chinese, and the catalogue holds nothing else."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache

import pytest

from tests.rules.gather_texts import entry_of, gather, texts_in
from tests.rules.source_tree import name_of, tree_of
from tests.rules.texts import (
    Text,
    marked_texts,
    server_files,
    texts_of_module,
    texts_of_template,
    unreadable_calls,
)

READ_FROM_KINDS = {"tasks/probes/pages/forms.py", "tasks/probes/pages/detail.py"}
"""Modules that translate what the kinds of probes declare, which is read from the kinds."""


@cache
def catalogue() -> list[Text]:
    """Return the texts that have an entry, read once."""
    return texts_in()


def test_every_text_has_its_chinese() -> None:
    known = set(catalogue())
    assert not {text: sorted(set(at)) for text, at in marked_texts().items() if text not in known}


def test_catalogue_holds_no_text_that_no_source_says() -> None:
    assert not [text for text in catalogue() if text not in marked_texts()]


def test_catalogue_names_each_text_once() -> None:
    # gettext looks up by context and singular alone: a second plural would be lost.
    keys = Counter((text.context, text.single) for text in catalogue())
    assert not [key for key, count in keys.items() if count > 1]


def test_gettext_is_given_literals() -> None:
    # What is no literal is found by no extraction, and so never translated.
    assert not [
        f"{name_of(path)}:{line}"
        for path in server_files()
        for line in unreadable_calls(tree_of(path))
        if name_of(path) not in READ_FROM_KINDS
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('{% translate "Plain" %}', Text(None, "Plain", None)),
        ("""{% translate "It's" context 'place' %}""", Text("place", "It's", None)),
        ('{% badge "done" _("as argument") %}', Text(None, "as argument", None)),
        ('{% include "a.html" with title=_("of a part") %}', Text(None, "of a part", None)),
        ('{{ value|default:_("of a filter") }}', Text(None, "of a filter", None)),
        (
            "{% blocktranslate %}Of {{ a }}, 5%{% endblocktranslate %}",
            Text(None, "Of %(a)s, 5%%", None),
        ),
        (
            "{% blocktranslate count n=a %}one{% plural %}{{ n }} of them{% endblocktranslate %}",
            Text(None, "one", "%(n)s of them"),
        ),
        (
            "{% blocktranslate trimmed context 'x' %}\n over\n lines\n{% endblocktranslate %}",
            Text("x", "over lines", None),
        ),
    ],
)
def test_text_of_a_template_is_found(source: str, text: Text) -> None:
    assert list(texts_of_template("{% load i18n %}" + source)) == [text]


SOURCE = """
_("plain")
gettext_lazy("late" " and joined")
ngettext("%d task", "%d tasks", count)
pgettext("units", "d h")
npgettext_lazy("host", "core", "cores", count)
translation.gettext("by module")
_(variable)
ngettext("one", many, count)
other("not marked")
"""


def test_texts_of_a_module_are_found() -> None:
    assert list(texts_of_module(ast.parse(SOURCE))) == [
        Text(None, "plain", None),
        Text(None, "late and joined", None),
        Text(None, "%d task", "%d tasks"),
        Text("units", "d h", None),
        Text("host", "core", "cores"),
        Text(None, "by module", None),
    ]


def test_what_is_no_literal_is_named_by_its_line() -> None:
    assert list(unreadable_calls(ast.parse(SOURCE))) == [8, 9]


def test_gathered_texts_are_appended_and_stale_ones_named(tmp_path) -> None:
    file = tmp_path / "django.po"
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    before = head + '# 甲\nmsgid "gone"\nmsgstr "甲"\n'
    file.write_text(before, encoding="utf-8")
    added, stale = gather(file)
    assert stale == [Text(None, "gone", None)]
    assert set(added) == set(marked_texts())
    assert file.read_text(encoding="utf-8").startswith(before)
    assert set(texts_in(file)) == {*added, *stale}
    assert gather(file)[0] == []


def test_entry_names_its_placeholders_and_has_one_plural_form() -> None:
    assert entry_of(Text("place", "%(n)d task", "%(n)d tasks")) == (
        '#, python-format\nmsgctxt "place"\nmsgid "%(n)d task"\n'
        'msgid_plural "%(n)d tasks"\nmsgstr[0] ""\n'
    )
    assert entry_of(Text(None, "{n} rows", None)).startswith("#, python-brace-format")
