"""Adds the texts that have no entry to the Chinese catalogue: `python -m tests.rules.gather_texts`.

Owns nothing: it appends entries without Chinese, so that the tests name them until somebody
writes it, and names the entries that no source says any more. Keeps the file as it is
otherwise, line by line, because people edit it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import polib

from tests.rules.source_tree import ROOT
from tests.rules.texts import Text, marked_texts

CATALOGUE = ROOT / "dialer_platform/locale/zh_Hans/LC_MESSAGES/django.po"
_PERCENT = re.compile(r"%(?:\(\w+\))?[sd]")
_BRACES = re.compile(r"\{\w*\}")


def texts_in(catalogue: Path = CATALOGUE) -> list[Text]:
    """Return the texts that have an entry, in the catalogue's order."""
    entries = polib.pofile(str(catalogue))
    return [Text(one.msgctxt, one.msgid, one.msgid_plural or None) for one in entries]


def entry_of(text: Text) -> str:
    """Return an entry as the catalogue writes it, its Chinese left open."""
    flags = ["python-format"] if _PERCENT.search(text.single) else []
    if not flags and _BRACES.search(text.single):
        flags = ["python-brace-format"]
    entry = polib.POEntry(
        msgctxt=text.context,
        msgid=text.single,
        msgid_plural=text.plural or "",
        msgstr="",
        # Chinese has one form for every number.
        msgstr_plural={0: ""} if text.plural else {},
        flags=flags,
    )
    return str(entry.__unicode__(wrapwidth=0))


def gather(catalogue: Path = CATALOGUE) -> tuple[list[Text], list[Text]]:
    """Append what is missing; returns what was added and what no source says any more."""
    known, said = texts_in(catalogue), marked_texts()
    added = [text for text in said if text not in set(known)]
    with catalogue.open("a", encoding="utf-8") as file:
        file.writelines(f"\n{entry_of(text)}" for text in added)
    return added, [text for text in known if text not in said]


if __name__ == "__main__":
    new, stale = gather()
    lines = [f"{len(new)} texts added without Chinese."]
    lines += [f"No source says any more: {text.single!r}" for text in stale]
    sys.stdout.write("\n".join(lines) + "\n")
