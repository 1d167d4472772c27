"""Every environment variable of the server stands in docs/operations.md."""

from __future__ import annotations

import re

from tests.rules.source_tree import ROOT, python_files


def test_every_server_variable_is_documented() -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    named = {
        name
        for path in python_files()
        if path.parts[len(ROOT.parts)] == "dialer_platform"
        for name in re.findall(
            r"env\.(?:text|integer|boolean|words)\(\s*\"([A-Z_]+)\"", path.read_text("utf-8")
        )
    }
    assert named
    assert not {name for name in named if f"`{name}`" not in text}
