"""The translations: compiled when out of date, and complete."""

from __future__ import annotations

import os
import re

import polib
import pytest
from django.conf import settings

from dialer_platform.console.catalogue import compile_catalogues

SOURCE = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "a"\nmsgstr "甲"\n'


@pytest.fixture
def locale(tmp_path):
    """Return a locale directory with one catalogue."""
    folder = tmp_path / "zh_Hans" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.po").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def test_catalogue_is_compiled_once(locale):
    assert compile_catalogues([locale]) == 1
    assert compile_catalogues([locale]) == 0
    compiled = polib.mofile(str(locale / "zh_Hans/LC_MESSAGES/django.mo"))
    assert compiled.find("a").msgstr == "甲"


def test_catalogue_is_compiled_again_when_its_source_is_newer(locale):
    compile_catalogues([locale])
    target = locale / "zh_Hans/LC_MESSAGES/django.mo"
    os.utime(target, (1, 1))
    assert compile_catalogues([locale]) == 1


def test_read_only_installation_starts_in_english(locale, caplog, monkeypatch):
    def refuse(*args: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(polib.POFile, "save_as_mofile", refuse)
    assert compile_catalogues([locale]) == 0
    assert "translations not compiled" in caplog.text


@pytest.fixture(scope="module")
def chinese() -> polib.POFile:
    """Return the shipped catalogue."""
    return polib.pofile(str(settings.LOCALE_PATHS[0] / "zh_Hans/LC_MESSAGES/django.po"))


def test_every_sentence_is_translated(chinese):
    assert [entry.msgid for entry in chinese.untranslated_entries()] == []
    assert [entry.msgid for entry in chinese.fuzzy_entries()] == []


def test_translations_keep_their_placeholders(chinese):
    placeholder = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\}")
    for entry in chinese:
        texts = [entry.msgstr, *entry.msgstr_plural.values()]
        wanted = set(placeholder.findall(entry.msgid)) | set(
            placeholder.findall(entry.msgid_plural or "")
        )
        found = {mark for text in texts for mark in placeholder.findall(text)}
        assert found == wanted, entry.msgid
