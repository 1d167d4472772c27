"""`check-config`: print every setting with its value and origin; change nothing.

Secrets show only whether they are set. An older file is read as it would be after its
upgrade, but not written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from agent_client.commands.main import overrides
from agent_client.config import SETTINGS, AgentConfig, load_config
from agent_client.errors import ConfigError, ExitCode
from agent_client.settings import shown


def run(options: argparse.Namespace) -> int:
    """Print the configuration, its warnings on stderr; return 2 when it is wrong."""
    try:
        config = load_config(overrides(options), os.environ, Path.cwd(), upgrade=False)
    except ConfigError as error:
        print(f"agent_client: {error}", file=sys.stderr)
        return error.exit_code
    print(_as_json(config) if options.json else _as_table(config))
    for note in config.warnings:
        print(f"warning: {note}", file=sys.stderr)
    return ExitCode.OK


def _rows(config: AgentConfig) -> list[tuple[str, str, str]]:
    """Return key, value and origin of every setting."""
    return [
        (key, shown(item, config.value(key)), config.origins[key]) for key, item in SETTINGS.items()
    ]


def _as_table(config: AgentConfig) -> str:
    rows = _rows(config)
    key_width = max(len(key) for key, _, _ in rows)
    value_width = max(len(value) for _, value, _ in rows)
    lines = [f"{key:{key_width}}  {value:{value_width}}  {origin}" for key, value, origin in rows]
    return "\n".join([f"file: {config.config_file or 'none'}", *lines])


def _as_json(config: AgentConfig) -> str:
    content = {
        "file": str(config.config_file) if config.config_file else None,
        "settings": {
            key: {"value": value, "origin": origin} for key, value, origin in _rows(config)
        },
        "warnings": list(config.warnings),
    }
    return json.dumps(content, indent=2, ensure_ascii=False)
