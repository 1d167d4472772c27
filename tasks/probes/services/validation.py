"""What a probe may ask for: checks every field and says, field by field, what to mend.

Reads nothing from the database; that agents and parents exist in the tenant is checked
by the services. Raises Invalid with all that is wrong at once.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from dialer_platform.errors import Invalid
from tasks.probes import kinds
from tasks.probes.choices import Policy
from tasks.probes.sentences import said

MAX_NAME_CHARACTERS = 200
MAX_TARGET_CHARACTERS = 2_000
MAX_INTERVAL_SECONDS = 24 * 3600
MAX_TIMEOUT_SECONDS = 300
MAX_CONFIG_BYTES = 64 * 1024
MAX_LABELS = 64
MAX_LABEL_CHARACTERS = 200
MAX_TAGS = 32
MAX_TAG_CHARACTERS = 64
MAX_AGENTS = 1_000
MAX_PARENTS = 32
MAX_THRESHOLD = 100

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

DEFAULTS: dict[str, Any] = {
    "timeout": None,
    "config": {},
    "enabled": True,
    "agents": [],
    "labels": {},
    "tags": [],
    "policy": Policy.MAJORITY,
    "fail_threshold": 2,
    "recover_threshold": 1,
    "parents": [],
}
REQUIRED = ("name", "kind", "target", "interval")

Cleaned = dict[str, Any]
Errors = dict[str, list[str]]


class Wrong(Exception):
    """One field is wrong; carries the sentence."""


def clean_new(fields: Mapping[str, Any]) -> Cleaned:
    """Return the complete, normalised fields of a new probe; unknown ones are ignored."""
    errors: Errors = {
        name: [_("This field is required.")] for name in REQUIRED if fields.get(name) is None
    }
    cleaned, wrong = _clean_each({name: fields[name] for name in fields if name not in errors})
    errors.update(wrong)
    complete = {**DEFAULTS, **cleaned}
    _check_kind(complete, errors)
    return complete


def clean_changes(fields: Mapping[str, Any], *, current: Mapping[str, Any]) -> Cleaned:
    """Return the normalised fields of a change; current is the probe as it is stored."""
    cleaned, errors = _clean_each(fields)
    if cleaned.get("kind", current["kind"]) != current["kind"]:
        errors["kind"] = [_("The kind cannot be changed; make another probe.")]
    if cleaned.keys() & {"kind", "target", "config"}:
        _check_kind({**current, **cleaned}, errors)
    elif errors:
        _raise(errors)
    return cleaned


def _clean_each(fields: Mapping[str, Any]) -> tuple[Cleaned, Errors]:
    """Return the cleaned fields and what is wrong with the others."""
    cleaned: Cleaned = {}
    errors: Errors = {}
    for name in fields.keys() & CLEANERS.keys():
        try:
            cleaned[name] = CLEANERS[name](fields[name])
        except Wrong as error:
            errors[name] = [str(error)]
    return cleaned, errors


def _check_kind(complete: Cleaned, errors: Errors) -> None:
    """Add what the kind says of target and config; raises Invalid when anything is wrong."""
    if not errors.keys() & {"kind", "target", "config"}:
        found = kinds.check(complete["kind"], complete["target"], complete["config"])
        errors.update({name: [said(line) for line in lines] for name, lines in found.items()})
    if errors:
        _raise(errors)


def _raise(errors: Errors) -> None:
    """Raise Invalid with all that is wrong."""
    raise Invalid(_("Some fields are not valid."), fields=errors)


def text(limit: int) -> Callable[[Any], str]:
    """Return a cleaner of one line of text that must not be empty."""

    def clean(value: Any) -> str:
        if not isinstance(value, str):
            raise Wrong(_("Must be text."))
        line = _unicode(value).strip()
        if not line:
            raise Wrong(_("Must not be empty."))
        if len(line) > limit:
            raise Wrong(_("At most %(limit)d characters.") % {"limit": limit})
        if _CONTROL.search(line):
            raise Wrong(_("Must be one line without control characters."))
        return line

    return clean


def whole(low: int, high: int) -> Callable[[Any], int]:
    """Return a cleaner of a whole number; digits in text are accepted, bools are not."""

    def clean(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,12}\s*", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(_("Must be a whole number."))
        if not low <= value <= high:
            raise Wrong(_("Must be between %(low)d and %(high)d.") % {"low": low, "high": high})
        return value

    return clean


def _timeout(value: Any) -> float | None:
    """Return seconds, None for the agent's default."""
    if value in (None, "", 0):
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0.05 <= seconds <= MAX_TIMEOUT_SECONDS:
        sentence = _("Must be between 0.05 and %(high)d seconds.")
        raise Wrong(sentence % {"high": MAX_TIMEOUT_SECONDS})
    return seconds


def _config(value: Any) -> dict[str, Any]:
    """Return a JSON object of bounded size; its content is the kind's own affair."""
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise Wrong(_("Must be an object."))
    try:
        size_bytes = len(_unicode(json.dumps(value, ensure_ascii=False, allow_nan=False)).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise Wrong(_("Must be plain JSON.")) from error
    if size_bytes > MAX_CONFIG_BYTES:
        raise Wrong(_("Must be smaller than 64 KiB."))
    return dict(value)


def _labels(value: Any) -> dict[str, str]:
    """Return the labels an agent must carry."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > MAX_LABELS:
        raise Wrong(_("Must be an object of at most %(limit)d labels.") % {"limit": MAX_LABELS})
    clean = text(MAX_LABEL_CHARACTERS)
    return {clean(name): "" if word == "" else clean(word) for name, word in value.items()}


def tags(value: Any) -> list[str]:
    """Return unique tags in the given order."""
    words = listed(value, MAX_TAGS)
    clean = text(MAX_TAG_CHARACTERS)
    return list(dict.fromkeys(clean(word) for word in words))


def _agent_ids(value: Any) -> list[str]:
    """Return unique ids of agents."""
    clean = text(64)
    return list(dict.fromkeys(clean(one) for one in listed(value, MAX_AGENTS)))


def _parent_ids(value: Any) -> list[int]:
    """Return unique ids of probes."""
    clean = whole(1, 2**63 - 1)
    return list(dict.fromkeys(clean(one) for one in listed(value, MAX_PARENTS)))


def listed(value: Any, limit: int) -> Sequence[Any]:
    """Return a list that is not too long."""
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise Wrong(_("Must be a list."))
    if len(value) > limit:
        raise Wrong(_("At most %(limit)d entries.") % {"limit": limit})
    return value


def _boolean(value: Any) -> bool:
    """Return a truth value; the words of HTML forms are accepted."""
    if isinstance(value, str) and value.lower() in {"true", "false", "on", ""}:
        return value.lower() in {"true", "on"}
    if not isinstance(value, bool):
        raise Wrong(_("Must be true or false."))
    return value


def _policy(value: Any) -> str:
    """Return one of the policies."""
    return one_of(value, Policy.values)


def _kind(value: Any) -> str:
    """Return one of the kinds."""
    return one_of(value, kinds.names())


def one_of(value: Any, words: Sequence[str]) -> str:
    """Return the value if it is one of the words."""
    if value not in words:
        raise Wrong(_("Must be one of: %(words)s.") % {"words": ", ".join(words)})
    return str(value)


def _unicode(line: str) -> str:
    """Return the text if it can be stored: no NUL, no lone surrogates."""
    if "\x00" in line or "\\u0000" in line:
        raise Wrong(_("Must not contain NUL characters."))
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise Wrong(_("Must be valid Unicode.")) from error
    return line


CLEANERS: dict[str, Callable[[Any], Any]] = {
    "name": text(MAX_NAME_CHARACTERS),
    "kind": _kind,
    "target": text(MAX_TARGET_CHARACTERS),
    "interval": whole(1, MAX_INTERVAL_SECONDS),
    "timeout": _timeout,
    "config": _config,
    "enabled": _boolean,
    "agents": _agent_ids,
    "labels": _labels,
    "tags": tags,
    "policy": _policy,
    "fail_threshold": whole(1, MAX_THRESHOLD),
    "recover_threshold": whole(1, MAX_THRESHOLD),
    "parents": _parent_ids,
}
