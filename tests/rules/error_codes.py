"""Finds every error code that the source raises, and every one that the tests name, by reading.

A code is what is given to a parameter or a field called `code`: by keyword, by default, as
a class attribute, or at its place among the arguments of anything that has such a parameter.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.rules.source_tree import ROOT, python_files, tree_of

_CODE = re.compile(r"[a-z][a-z0-9_]*")
_NAMES_OF_CODES = {"code", "default_code"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def raised_codes() -> dict[str, Path]:
    """Return each code with a file that raises it."""
    return {code: path for path in python_files() for code in codes_in(tree_of(path), places())}


@cache
def named_by_tests() -> frozenset[str]:
    """Return every text that a test compares with or gives, the rules themselves left out."""
    paths = [path for path in (ROOT / "tests").rglob("*.py") if "rules" not in path.parts]
    nodes = (node for path in paths for node in ast.walk(tree_of(path)))
    return frozenset(
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@cache
def places() -> Mapping[str, frozenset[int]]:
    """Return at which places the callables of each name of the source take a code."""
    found: dict[str, set[int]] = {}
    for path in python_files():
        for name, place in places_in(tree_of(path)):
            found.setdefault(name, set()).add(place)
    return {name: frozenset(at) for name, at in found.items()}


def places_in(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield name and place of what takes a code: functions, methods, classes, data classes."""
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            yield from ((node.name, at) for at in _place(_parameters(node)))
        elif isinstance(node, ast.ClassDef):
            makers = [one for one in node.body if isinstance(one, _FUNCTIONS)]
            made = [_parameters(one) for one in makers if one.name == "__init__"]
            yield from ((node.name, at) for at in _place(made[0] if made else _fields(node)))


def codes_in(tree: ast.AST, taken_at: Mapping[str, frozenset[int]]) -> Iterator[str]:
    """Yield the codes of one file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "code":
            yield from _texts(node.value)
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                if _NAMES_OF_CODES & _targets(line):
                    yield from _texts(line.value)
        elif isinstance(node, ast.Call):
            for place in taken_at.get(_called(node), ()):
                if place < len(node.args):
                    # Two things may have one name; a sentence at the place is no code.
                    yield from filter(_CODE.fullmatch, _texts(node.args[place]))


def _place(names: list[str]) -> list[int]:
    return [names.index("code")] if "code" in names else []


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the names that arguments without a name go to, as a caller counts them."""
    names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def _fields(node: ast.ClassDef) -> list[str]:
    """Return the fields of a data class in their order."""
    return [
        one.target.id
        for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    ]


def _called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _targets(line: ast.stmt) -> set[str]:
    """Return the names that a line of a class gives a value."""
    targets = line.targets if isinstance(line, ast.Assign) else []
    if isinstance(line, ast.AnnAssign) and line.value is not None:
        targets = [line.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the text of a literal, or of both branches of a conditional one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
