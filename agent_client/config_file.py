"""The agent's configuration file: reading YAML or JSON, and upgrading an older one.

An `agent_config.json` from before the sections `thread_pool` and `logging` existed is
completed in place: the missing keys are added with their defaults, everything else stays
as it was, and the old file is kept beside it. The new file replaces the old one by a
rename after fsync, so a crash leaves one of the two whole. Never logs contents.
"""

from __future__ import annotations

import copy
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_client.errors import ConfigError

UPGRADED_NAME = "agent_config.json"
"""Only a file of this name is ever written to: it is the one that older agents made."""
MAX_FILE_BYTES = 1024 * 1024
_MAX_BACKUPS = 1000


def read_file(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML or JSON file; an empty file is an empty mapping.

    Raises ConfigError (code config_unreadable) for a file that is missing, too large, not
    text, not YAML or JSON, or not a mapping.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _unreadable(path, f"is larger than {MAX_FILE_BYTES} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error.strerror or "cannot be read") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "is not UTF-8 text") from error
    data = parse_text(path, text) if text.strip() else {}
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise _unreadable(path, "does not hold keys and values")
    return data


def upgrade_file(path: Path, data: dict[str, Any], defaults: Mapping[str, Any]) -> Path | None:
    """Add the defaults' missing sections and keys to the file; return the backup's path.

    Returns None when nothing is missing. data is not changed. Raises OSError when the
    file or its directory cannot be written; the old file is then untouched.
    """
    target = path.resolve()  # keep a symbolic link a link
    completed = completed_with(data, defaults)
    if completed == data:
        return None
    backup = _back_up(target)
    _replace(target, json.dumps(completed, indent=2, ensure_ascii=False) + "\n")
    return backup


def completed_with(data: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of data with the missing keys of each section of defaults."""
    completed = copy.deepcopy(data)
    for section, keys in defaults.items():
        present = completed.setdefault(section, {})
        if isinstance(present, dict):  # anything else is reported when it is read
            for key, value in keys.items():
                present.setdefault(key, value)
    return completed


def readable_by_others(path: Path) -> bool:
    """Return whether other users may read the file."""
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def parse_text(path: Path, text: str) -> Any:
    """Return a file's parsed text; the suffix .json means JSON, everything else YAML.

    Raises ConfigError, which never quotes the text.
    """
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _unreadable(path, f"is not valid JSON ({error})") from error
    import yaml  # only a YAML file pays for it

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        # The parser quotes the line it failed on, which may hold a token: say only where.
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise _unreadable(path, f"is not valid YAML{place}") from None


def _unreadable(path: Path, problem: str) -> ConfigError:
    return ConfigError(
        str(path),
        "configuration file",
        problem,
        "Correct the file, or name another with --config or AGENT_CONFIG_FILE.",
        code="config_unreadable",
    )


def _back_up(path: Path) -> Path:
    """Copy the file to the first free name `.bak`, `.bak.1`, …; never overwrite one."""
    content = path.read_bytes()
    mode = stat.S_IMODE(path.stat().st_mode)
    for number in range(_MAX_BACKUPS):
        backup = path.with_name(path.name + (f".bak.{number}" if number else ".bak"))
        try:
            descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        return backup
    raise FileExistsError(f"{path} has {_MAX_BACKUPS} backups")


def _replace(path: Path, text: str) -> None:
    """Write text beside the file, then rename it over the file, keeping its mode."""
    mode = stat.S_IMODE(path.stat().st_mode)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
