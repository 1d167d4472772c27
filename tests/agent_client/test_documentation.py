"""docs/agent.md names every setting with its default, every exit code and every error code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agent_client.config import SETTINGS, load_config
from agent_client.errors import CATALOGUE, ExitCode

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "agent.md").read_text(encoding="utf-8")


def _default(value: object) -> str:
    """Return a default as the table writes it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return "" if value in (None, "", {}) else f"`{value}`"


@pytest.mark.parametrize("key", SETTINGS)
def test_setting_stands_in_the_table(key):
    item = SETTINGS[key]
    row = f"| `{key}` | `{item.variable}` | {_default(item.default)} |"
    assert row in TEXT


@pytest.mark.parametrize("code", CATALOGUE)
def test_error_code_stands_in_the_table(code):
    entry = CATALOGUE[code]
    assert f"| `{code}` | {entry.sentence} | {entry.remedy} | {int(entry.exit_code)} |" in TEXT


@pytest.mark.parametrize("code", ExitCode)
def test_exit_code_stands_in_the_table(code):
    assert f"\n| {int(code)} | " in TEXT


def test_sample_file_is_accepted_without_a_warning(tmp_path):
    sample = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert sample is not None
    (tmp_path / "c.yaml").write_text(sample[1])
    config = load_config({"config_file": "c.yaml"}, {"HOME": str(tmp_path)}, tmp_path)
    assert config.warnings == ()
    assert config.task.max_execution_seconds == 7200
    assert set(yaml.safe_load(sample[1])["labels"]) == set(config.labels)
