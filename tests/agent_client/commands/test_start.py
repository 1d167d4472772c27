"""The start of a command: what it must not import, and the help that people read."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"asyncio", "websockets", "psutil", "requests", "msgspec", "yaml", "logging"}

PROBE = """
import sys
from agent_client.__main__ import build_parser
import agent_client.commands.{module}
print(*sorted(set(sys.modules) & {heavy!r}))
"""


@pytest.mark.parametrize("module", ["submit", "queue", "logs", "task"])
def test_command_imports_nothing_heavy(module):
    code = PROBE.format(module=module, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "agent_client", "--help"], capture_output=True, text=True, check=True
    )
    for name in (
        "main",
        "check-config",
        "submit",
        "queue",
        "show",
        "logs",
        "why",
        "cancel",
        "rerun",
        "put",
        "get",
        "ls",
    ):
        assert f"\n    {name}" in done.stdout
    assert "DIALER_TOKEN" in done.stdout
