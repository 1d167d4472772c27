"""The sentences that agents and the kinds of probes say in English, read from their sources.

They cross the wire or come from code without gettext, so the server knows them by their
wording. Each is given with every value in it replaced by `SAMPLE`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.rules.source_tree import ROOT, tree_of
from tests.rules.texts import called

SAMPLE = "7"
FAILURES = {
    *("CheckFailed", "ProtocolViolation", "AnswerTooLarge", "SettingUnusable", "TargetDenied"),
    *("Finding", "warn"),
}
DECLARED = {"title", "description", "summary", "target_help", "name"}


def sentences_of_kinds() -> Iterator[str]:
    """Yield what the kinds say is wrong with a target or a setting."""
    for path in _modules("agent_client/protocol/probe_kinds"):
        if path.name != "blackbox.py":  # says what an import has lost, on the command line
            yield from filter(_is_sentence, _texts(tree_of(path)))


def sentences_of_probes() -> Iterator[str]:
    """Yield what probes say of a target that failed."""
    for path in _modules("agent_client/probes"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and called(node) in FAILURES:
                yield from (text for text in map(_sample, node.args) if " " in text)


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).glob("*.py"))


def _is_sentence(text: str) -> bool:
    """Tell a sentence or a part of one from an example or a name."""
    return text.count(" ") > 1 and "\n" not in text


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts below a node; docstrings and what describes a setting are left out."""
    for child in ast.iter_child_nodes(node):
        is_said = isinstance(child, ast.keyword) and child.arg in DECLARED
        is_docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        if is_said or is_docstring:
            continue
        if isinstance(child, ast.Constant | ast.JoinedStr):
            yield _sample(child)
        else:
            yield from _texts(child)


def _sample(node: ast.AST) -> str:
    """Return a text with its values replaced, "" for what is none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_sample, node.values))
    if isinstance(node, ast.FormattedValue):
        return SAMPLE
    if isinstance(node, ast.Subscript):  # cut to a length
        return _sample(node.value)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
