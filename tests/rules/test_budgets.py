"""Style budgets: what keeps the code readable in one sitting."""

from __future__ import annotations

import ast
import statistics

from tests.rules.source_tree import functions_of, name_of, python_files, tree_of

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_FUNCTIONS_OVER_50_SHARE = 0.02
MAX_MEDIAN_FUNCTION_LINES = 10
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py"}


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its decorators."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_longer_than_the_limit() -> None:
    sizes = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in python_files()}
    assert not {name: size for name, size in sizes.items() if size > MAX_FILE_LINES}


def test_no_function_is_longer_than_the_limit() -> None:
    long = [
        f"{name_of(path)}:{node.lineno} {node.name} {length(node)}"
        for path in python_files()
        for node in functions_of(path)
        if length(node) > MAX_FUNCTION_LINES
    ]
    assert not long


def test_functions_stay_short_as_a_whole() -> None:
    lengths = [length(node) for path in python_files() for node in functions_of(path)]
    assert statistics.median(lengths) <= MAX_MEDIAN_FUNCTION_LINES
    assert sum(n > 50 for n in lengths) <= MAX_FUNCTIONS_OVER_50_SHARE * len(lengths)


def test_every_module_says_what_it_owns() -> None:
    assert not [name_of(p) for p in python_files() if not ast.get_docstring(tree_of(p))]


def test_every_public_function_and_class_has_a_docstring() -> None:
    silent = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in python_files()
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent


def test_every_function_is_fully_typed() -> None:
    bare = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in python_files()
        for node in functions_of(path)
        if node.returns is None
        or any(
            a.annotation is None
            for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            if a.arg not in {"self", "cls"}
        )
    ]
    assert not bare


def test_no_module_is_a_drawer_for_everything() -> None:
    assert not [name_of(p) for p in python_files() if p.name in FORBIDDEN_NAMES]
