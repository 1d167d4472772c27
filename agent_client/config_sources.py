"""Where settings come from: the file, the environment and the command line, merged by rank.

Yields raw candidates with their origins; conversion and checks come after. A key that
nobody knows is a warning with the nearest known name, never an error: an older agent must
start with a newer file. Never prints a value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_client.config_file import UPGRADED_NAME, read_file, readable_by_others, upgrade_file
from agent_client.errors import ConfigError
from agent_client.settings import Setting

CONFIG_FILE_VARIABLE = "AGENT_CONFIG_FILE"
FLAT_SECTIONS = frozenset({"", "connection", "identification", "logging"})
"""Sections whose keys may also stand at the top of the file, as the published sample has them."""
_UPGRADED_KEYS = {
    "thread_pool": ("max_workers", "task_timeout", "queue_size_limit"),
    "logging": ("log_mode", "log_path", "log_name", "log_rotation"),
}
_MAX_SECRET_BYTES = 4096
_NEAR_VARIABLE = 0.8
_NEAR_IN_FILE = 0.7
"""How alike two names are, 0 to 1, before one is taken for a slip of the other."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A raw value, where it came from, and the directory its relative paths start at."""

    raw: Any
    origin: str
    base: Path | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """The file to read: required when somebody named it, else the first that exists."""

    required: Path | None
    usual: tuple[Path, ...]


@dataclass(slots=True)
class Gathered:
    """The winning candidate per key, the warnings, and the file that was read."""

    candidates: dict[str, Candidate] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    file: Path | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the warnings in the order they were met."""
        return tuple(self.notes)


def file_candidates(named: object, environ: Mapping[str, str], *, cwd: Path, home: Path) -> Files:
    """Return the file that the command line or the environment names, and the usual places."""
    chosen = named or environ.get(CONFIG_FILE_VARIABLE) or None
    if chosen is None:
        return Files(None, (cwd / UPGRADED_NAME, home / ".ops-job-agent" / "config.yaml"))
    text = str(chosen)
    path = home / text[2:] if text.startswith("~/") else cwd / text
    return Files(path, ())


def gather(
    settings: Mapping[str, Setting],
    *,
    argv: Mapping[str, object],
    environ: Mapping[str, str],
    files: Files,
    cwd: Path,
    upgrade: bool,
) -> Gathered:
    """Merge file < environment < command line; raises ConfigError for an unreadable source."""
    gathered = Gathered()
    path = files.required or next((path for path in files.usual if path.is_file()), None)
    if path is not None:
        _take_file(gathered, settings, path, upgrade=upgrade)
    _take_environment(gathered, settings, environ, cwd=cwd)
    for key, raw in argv.items():
        if raw is None or key == "config_file":
            continue
        if key not in settings:
            raise ConfigError(key, "command line", "is not a setting", "Leave it out.")
        gathered.candidates[key] = Candidate(raw, "command line", cwd)
    return gathered


def _take_file(
    gathered: Gathered, settings: Mapping[str, Setting], path: Path, *, upgrade: bool
) -> None:
    """Read the file, upgrade an older one, and take its values."""
    data = read_file(path)
    if upgrade and path.name == UPGRADED_NAME:
        gathered.notes.extend(_upgrade(path, data, settings))
    origin = f"file {path}"
    for key, raw in _flatten(data, settings, origin, gathered.notes):
        gathered.candidates[key] = Candidate(raw, origin, path.parent)
    gathered.file = path
    secret = [key for key in gathered.candidates if settings[key].rule.secret]
    if secret and readable_by_others(path):
        gathered.notes.append(
            f"{path} holds {secret[0]} and other users can read it; run: chmod 600 {path}"
        )


def _upgrade(path: Path, data: dict[str, Any], settings: Mapping[str, Setting]) -> Iterator[str]:
    """Complete an older file; a file that cannot be written only costs a warning."""
    defaults = {
        section: {name: _plain_default(section, name, data, settings) for name in names}
        for section, names in _UPGRADED_KEYS.items()
    }
    try:
        backup = upgrade_file(path, data, defaults)
    except OSError as error:
        yield f"{path} lacks settings and could not be upgraded: {error.strerror or error}"
        return
    if backup is not None:
        yield f"{path} was upgraded with the settings it lacked; the old file is {backup}"


def _plain_default(
    section: str, name: str, data: Mapping[str, Any], settings: Mapping[str, Setting]
) -> Any:
    """Return what the key means while it is absent, so that the upgrade changes nothing.

    A value at the top of the file goes on to count, and log_path stands in for log_dir.
    """
    if section in FLAT_SECTIONS and name in data:
        return data[name]
    if name == "log_path":
        inner = data.get(section)
        given = inner.get("log_dir") if isinstance(inner, dict) else None
        return given or data.get("log_dir") or str(settings["logging.log_dir"].default)
    return settings[f"{section}.{name}"].default


def _flatten(
    data: Mapping[str, Any], settings: Mapping[str, Setting], origin: str, notes: list[str]
) -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and raw values; a key in its section wins over one at the top."""
    sections = {item.section for item in settings.values()} - {""}
    flat = {item.name: key for key, item in settings.items() if item.section in FLAT_SECTIONS}
    nested: list[tuple[str, Any]] = []
    for name, raw in data.items():
        if raw is None:
            continue
        if name in sections:
            nested.extend(_section(str(name), raw, settings, origin, notes))
        elif name in flat:
            yield flat[name], raw
        else:
            notes.append(_unknown(str(name), origin, [*flat, *sections, *settings]))
    yield from nested


def _section(
    section: str, raw: object, settings: Mapping[str, Setting], origin: str, notes: list[str]
) -> Iterator[tuple[str, Any]]:
    """Yield the keys of one section of the file."""
    if not isinstance(raw, Mapping):
        raise ConfigError(section, origin, "is not a section", "Write keys and values in it.")
    for name, value in raw.items():
        key = f"{section}.{name}"
        if key not in settings:
            notes.append(_unknown(key, origin, list(settings)))
        elif value is not None:
            yield key, value


def _take_environment(
    gathered: Gathered, settings: Mapping[str, Setting], environ: Mapping[str, str], *, cwd: Path
) -> None:
    """Take AGENT_… variables and, for secrets, the files that AGENT_…_FILE names."""
    known = {item.variable: key for key, item in settings.items()}
    secret = {item.variable + "_FILE": key for key, item in settings.items() if item.rule.secret}
    for variable, text in sorted(environ.items()):
        if variable in known and text != "":
            gathered.candidates[known[variable]] = Candidate(text, f"environment {variable}", cwd)
        elif variable in secret and text != "":
            _take_secret(gathered, secret[variable], variable, cwd / text)
        elif variable.startswith("AGENT_"):
            _warn_variable(gathered.notes, variable, settings, [*known, *secret])


def _take_secret(gathered: Gathered, key: str, variable: str, path: Path) -> None:
    """Read a secret's file; the variable itself, when also set, is a contradiction."""
    origin = f"environment {variable}"
    existing = gathered.candidates.get(key)
    if existing and existing.origin.startswith("environment "):
        raise ConfigError(key, origin, "is given twice", f"Unset {variable} or the other one.")
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MAX_SECRET_BYTES + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise ConfigError(key, origin, f"{path}: {reason}", "Name a readable file.") from error
    if not text or len(text) > _MAX_SECRET_BYTES:
        raise ConfigError(key, origin, f"{path} is empty or too long", "Put the secret in it.")
    gathered.candidates[key] = Candidate(text, origin)


def _warn_variable(
    notes: list[str], variable: str, settings: Mapping[str, Setting], known: list[str]
) -> None:
    """Warn of a misspelt variable; AGENT_… variables of other programs are left alone."""
    ours = {f"AGENT_{item.section.upper()}_" for item in settings.values() if item.section}
    near = difflib.get_close_matches(variable, known, n=1, cutoff=_NEAR_VARIABLE)
    if variable == CONFIG_FILE_VARIABLE:
        return
    if near or any(variable.startswith(prefix) for prefix in ours):
        notes.append(_unknown(variable, "environment", known))


def _unknown(name: str, origin: str, known: list[str]) -> str:
    """Return the warning for a name nobody knows, with the nearest one that is known."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR_IN_FILE)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown setting {name} ({origin}) is ignored{hint}"
