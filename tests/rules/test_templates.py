"""Templates: short, no inline script or style, nothing from foreign hosts."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.rules.source_tree import ROOT, name_of, template_files

MAX_TEMPLATE_LINES = 200
INLINE = {
    "an inline script": re.compile(r"<script(?![^>]*\bsrc=)[^>]*>", re.IGNORECASE),
    "a style attribute": re.compile(r"\sstyle\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style", re.IGNORECASE),
    "an event handler": re.compile(r"\son[a-z]+\s*=\s*[\"']", re.IGNORECASE),
    "a foreign address": re.compile(r"(?:src|href)\s*=\s*[\"'](?:https?:)?//", re.IGNORECASE),
}


@pytest.mark.parametrize("what", sorted(INLINE))
def test_templates_hold_no(what: str) -> None:
    wrong = [
        name_of(path)
        for path in template_files()
        if INLINE[what].search(path.read_text(encoding="utf-8"))
    ]
    assert not wrong


def test_templates_are_short() -> None:
    sizes = {name_of(p): p.read_text(encoding="utf-8").count("\n") for p in template_files()}
    assert not {name: size for name, size in sizes.items() if size > MAX_TEMPLATE_LINES}


def test_partials_begin_with_a_comment_naming_their_variables() -> None:
    silent = [
        name_of(path)
        for path in template_files()
        if path.name.startswith("_")
        and not path.read_text(encoding="utf-8").lstrip().startswith(("{#", "{% comment"))
    ]
    assert not silent


def test_stylesheets_and_scripts_name_no_foreign_host() -> None:
    own = [p for kind in ("css", "js") for p in (ROOT / "static" / kind).rglob("*.*")]
    foreign = re.compile(r"(?:url\(|import\s|from\s)[\"']?https?://")
    assert own
    assert not [name_of(p) for p in own if foreign.search(p.read_text(encoding="utf-8"))]


def test_vendored_files_have_the_recorded_checksums() -> None:
    versions = (ROOT / "static/vendor/VERSIONS.md").read_text(encoding="utf-8")
    files = [
        path
        for path in (ROOT / "static/vendor").rglob("*")
        if path.suffix in {".js", ".css", ".mjs"}
    ]
    assert files
    missing = [
        name_of(path)
        for path in files
        if hashlib.sha256(path.read_bytes()).hexdigest() not in versions
    ]
    assert not missing
