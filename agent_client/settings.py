"""How one setting is declared, converted and checked.

A setting is a dataclass field whose metadata holds its rule: limits, choices, whether it
is a secret, and a sentence for people. `convert` turns what a file, the environment or
the command line gives into the field's type, or raises ConfigError that names the key,
the origin and the remedy. Pure: reads no file, no environment and no clock.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_client.errors import ConfigError
from agent_client.transport.trust import parse_fingerprint

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_LABEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_MAX_LABELS = 64
_URL = re.compile(r"(?i)(https?|wss?)://[^\s/@?#]+(/[^\s?#]*)?")


class _Wrong(ValueError):
    """A value does not convert; the two arguments are the problem and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Rule:
    """What a setting may hold; `kind` names the converter, help is one sentence."""

    kind: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: Sequence[str] = ()
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared setting: section ("" at the top level), name, rule and default."""

    section: str
    name: str
    rule: Rule
    default: Any

    @property
    def key(self) -> str:
        """Return the dotted key, as `check-config` and errors print it."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        """Return the name of the environment variable that sets it."""
        return "AGENT_" + self.key.replace(".", "_").upper()


def setting(default: Any, kind: str, help: str, **limits: Any) -> Any:
    """Declare a dataclass field as a setting; limits are Rule's further fields."""
    rule = Rule(kind, help, **limits)
    metadata, shown_in_repr = {"rule": rule}, not rule.secret
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata, repr=shown_in_repr)


def declared(section: str, owner: type) -> list[Setting]:
    """Return the settings that a dataclass declares; fields without a rule are left out."""
    found = []
    for field in dataclasses.fields(owner):
        if "rule" not in field.metadata:
            continue
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        found.append(Setting(section, field.name, field.metadata["rule"], default))
    return found


def convert(item: Setting, raw: object, *, origin: str, base: Path) -> Any:
    """Return raw as the setting's type; relative paths start at base. Raises ConfigError."""
    try:
        value = base / Path(_path(raw)) if item.rule.kind == "path" else _plain(item.rule, raw)
        _check_limits(item.rule, value)
    except _Wrong as wrong:
        raise ConfigError(item.key, origin, wrong.problem, wrong.remedy) from None
    return value


def shown(item: Setting, value: object) -> str:
    """Return the value for people; secrets show only whether they are set."""
    if item.rule.secret:
        return "(set)" if value else "(not set)"
    if isinstance(value, Mapping):
        return ",".join(f"{name}={text}" for name, text in value.items())
    return "" if value is None else str(value)


def _plain(rule: Rule, raw: object) -> Any:
    return _CONVERTERS[rule.kind](raw, rule)


def _check_limits(rule: Rule, value: Any) -> None:
    """Compare a number or a choice with the rule."""
    if rule.choices and value not in rule.choices:
        raise _Wrong(f"{value!r} is not known", f"Use one of: {', '.join(rule.choices)}.")
    if rule.minimum is not None and value < rule.minimum:
        raise _Wrong(f"{value} is too small", f"Use {rule.minimum:g} or more.")
    if rule.maximum is not None and value > rule.maximum:
        raise _Wrong(f"{value} is too large", f"Use {rule.maximum:g} or less.")


def _text(raw: object, rule: Rule) -> str:
    if isinstance(raw, (Mapping, list, tuple)) or raw is None:
        raise _Wrong("is not a text", "Write a single value.")
    text = str(raw).strip()
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise _Wrong("contains control characters", "Remove them.")
    return text


def _choice(raw: object, rule: Rule) -> str:
    """Return the choice that matches but for case."""
    text = _text(raw, rule)
    matches = [choice for choice in rule.choices if choice.lower() == text.lower()]
    return matches[0] if matches else text


def _integer(raw: object, rule: Rule) -> int:
    number = _number(raw, rule)
    if number != int(number):
        raise _Wrong(f"{raw!r} is not a whole number", "Write digits only.")
    return int(number)


def _number(raw: object, rule: Rule) -> float:
    """Return a finite number; true and false are no numbers although Python says so."""
    try:
        if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
            raise ValueError
        number = float(raw)
    except ValueError:
        raise _Wrong(f"{str(raw)[:40]!r} is not a number", "Write a number.") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise _Wrong(f"{raw} is not a finite number", "Write a number.")
    return number


def _truth(raw: object, rule: Rule) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text not in _TRUE | _FALSE:
        raise _Wrong(f"{text[:40]!r} is neither true nor false", "Use true or false.")
    return text in _TRUE


def _path(raw: object) -> str:
    text = _text(raw, Rule("text", ""))
    if not text:
        raise _Wrong("is empty", "Name a directory.")
    return text


def _address(raw: object, rule: Rule) -> str:
    """Return a server's base address without a trailing slash; empty stays empty."""
    text = _text(raw, rule).rstrip("/")
    if text and not _URL.fullmatch(text):
        raise _Wrong(
            "is not a server address",
            "Write http://, https://, ws:// or wss:// and the host, without user, query or "
            "fragment, for example http://127.0.0.1:8000.",
        )
    return text


def _fingerprint(raw: object, rule: Rule) -> str:
    """Return a certificate's digest as 64 hex digits."""
    try:
        return parse_fingerprint(_text(raw, rule))
    except ValueError as error:
        raise _Wrong(
            str(error), "Copy it from `manage.py enroll`, with or without colons."
        ) from None


def _labels(raw: object, rule: Rule) -> dict[str, str]:
    """Return labels from a mapping or from `a=1,b=2`."""
    if isinstance(raw, str):
        pairs = [part.partition("=") for part in raw.split(",") if part.strip()]
        raw = {name.strip(): value.strip() for name, _, value in pairs}
    if not isinstance(raw, Mapping):
        raise _Wrong("is not a set of labels", "Write name=value pairs separated by commas.")
    labels = {str(name): _text(value, rule) for name, value in raw.items()}
    wrong = [name for name in labels if not _LABEL_NAME.fullmatch(name)]
    if wrong or len(labels) > _MAX_LABELS:
        raise _Wrong(
            f"{wrong[0]!r} is not a label name" if wrong else "holds too many labels",
            f"Use at most {_MAX_LABELS} names of letters, digits and . _ / - .",
        )
    return labels


_CONVERTERS: Mapping[str, Callable[[object, Rule], Any]] = {
    "text": _text,
    "choice": _choice,
    "integer": _integer,
    "number": _number,
    "truth": _truth,
    "address": _address,
    "labels": _labels,
    "fingerprint": _fingerprint,
}
