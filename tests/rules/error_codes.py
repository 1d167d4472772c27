"""Finds every error code that the source raises, by reading it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.rules.source_tree import python_files, tree_of

_CALLS_WITH_CODE_SECOND = {"error", "_error"}
_NAMES_OF_CODES = {"code", "default_code"}


def raised_codes() -> dict[str, Path]:
    """Return each code with a file that raises it."""
    return {code: path for path in python_files() for code in _codes_in(tree_of(path))}


def _codes_in(tree: ast.AST) -> Iterator[str]:
    """Yield the codes of one file: keyword `code=`, class attribute `code`, reply.error(…)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "code":
            yield from _texts(node.value)
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign) and _NAMES_OF_CODES & _targets(line):
                    yield from _texts(line.value)
        elif isinstance(node, ast.Call) and _is_reply_error(node):
            yield from _texts(node.args[1])


def _is_reply_error(node: ast.Call) -> bool:
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr in _CALLS_WITH_CODE_SECOND
        and len(node.args) >= 2
    )


def _targets(line: ast.Assign) -> set[str]:
    return {target.id for target in line.targets if isinstance(target, ast.Name)}


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the text of a literal, or of both branches of a conditional one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
