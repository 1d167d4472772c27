"""What a task may ask for: checks every field and says, field by field, what to mend.

Owns the limits of a submission. Reads nothing from the database; that ids exist and
belong to the tenant is checked by the services. Raises Invalid, or TooLarge for a script
over its limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from dialer_platform.errors import Invalid, TooLarge
from tasks.choices import Kind, ScriptType
from tasks.files.orders import TEMPLATE_TYPE, clean_file, title_of
from tasks.services.dependencies import MAX_DEPENDENCIES

MAX_NAME_CHARACTERS = 200
MAX_TEMPLATE_TYPE_CHARACTERS = 100
MAX_WORKING_DIR_CHARACTERS = 1_000
MAX_ENV_BYTES = 64 * 1024
MAX_LABELS = 64
MAX_LABEL_CHARACTERS = 200
MAX_CPU_CORES = 1_000_000
MAX_GPUS = 10_000
MAX_GPU_MEMORY_MB = 10_000_000
MAX_TIMEOUT_SECONDS = 365 * 24 * 3600
URGENT, LEAST_URGENT = 1, 5
LIMITS = {
    "memory_mb": (1, 10_000_000),
    "processes": (1, 1_000_000),
    "open_files": (16, 1_048_576),
    "nice": (0, 19),
}
"""Least and greatest value of each limit; fewer than 16 open files start no interpreter."""

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

DEFAULTS: dict[str, Any] = {
    "script_type": ScriptType.SHELL,
    "priority": 3,
    "cpu_cores": 1,
    "gpu_count": 0,
    "gpu_memory": 0,
    "depends_on": [],
    "agent_id": "",
    "labels": {},
    "timeout": None,
    "env": {},
    "working_dir": "",
    "merge_output": False,
    "run_as": "",
    "limits": {},
}
REQUIRED = ("name", "template_type", "script_content")
SCRIPT_FIELDS = frozenset({"script_content", "script_type", "env", "working_dir", "merge_output"})
"""What a task that moves a file has no use for."""


class _Wrong(Exception):
    """One field is wrong; carries the sentence."""


def clean_new(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the complete, normalised fields of a new task; unknown ones are ignored."""
    kind = _kind(fields.get("kind"))
    if kind != Kind.SCRIPT:
        return _clean_new_file(kind, fields)
    given = {name: value for name, value in fields.items() if name in CLEANERS}
    errors = {name: [_("This field is required.")] for name in REQUIRED if name not in given}
    return {**DEFAULTS, "kind": Kind.SCRIPT.value, **_clean(given, errors)}


def _clean_new_file(kind: Kind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a task that moves a file: no script, no cores by default.

    It runs on the agent's own interpreter, whatever scripts its host can run.
    """
    given = {n: v for n, v in fields.items() if n in CLEANERS and n not in SCRIPT_FIELDS}
    errors: dict[str, list[str]] = {}
    order: dict[str, Any] = {}
    try:
        order = clean_file(kind, fields.get("file"))
    except Invalid as error:
        errors.update({name: list(lines) for name, lines in error.fields.items()})
    if kind != Kind.FILE_UPLOAD and not fields.get("agent_id"):
        errors["agent_id"] = [_("Name the agent whose file it is.")]
    cleaned = _clean({name: value for name, value in given.items() if value != ""}, errors)
    standing = {"name": title_of(kind, order["path"]), "template_type": TEMPLATE_TYPE}
    fixed = {"kind": kind.value, "file": order, "script_type": ScriptType.PYTHON.value}
    defaults = {**DEFAULTS, "cpu_cores": 0, **standing}
    return {**defaults, **cleaned, **fixed, "script_content": ""}


def _kind(value: Any) -> Kind:
    """Return what the task is to do, by default a script; raises Invalid."""
    if value in (None, ""):
        return Kind.SCRIPT
    if not isinstance(value, str) or value not in Kind.values:
        sentence = _("Must be one of: %(names)s.") % {"names": ", ".join(Kind.values)}
        raise Invalid(_("Some fields are not valid."), fields={"kind": [sentence]})
    return Kind(value)


def clean_changes(
    fields: Mapping[str, Any], *, current: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the normalised fields of a change; unknown ones are ignored.

    `current` are the values that the change leaves as they are, for rules over two fields.
    """
    given = {name: value for name, value in fields.items() if name in CLEANERS}
    return _clean(given, {}, current or {})


def _clean(
    given: Mapping[str, Any],
    errors: dict[str, list[str]],
    current: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Clean each field, collect what is wrong, raise it all at once."""
    cleaned: dict[str, Any] = {}
    for name, value in given.items():
        try:
            cleaned[name] = CLEANERS[name](value)
        except _Wrong as error:
            errors[name] = [str(error)]
    together = {**DEFAULTS, **(current or {}), **cleaned}
    if not errors.keys() & {"gpu_count", "gpu_memory"}:
        errors.update(_gpu_errors(together))
    if errors:
        raise Invalid(_("Some fields are not valid."), fields=errors)
    return cleaned


def _gpu_errors(fields: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong with GPU count and memory together."""
    if fields["gpu_memory"] and not fields["gpu_count"]:
        sentence = _("GPU memory needs at least one GPU: set gpu_count to 1 or more.")
        return {"gpu_memory": [sentence]}
    return {}


def _text(limit: int, *, required: bool = False) -> Callable[[Any], str]:
    """Return a cleaner of one line of text."""

    def clean(value: Any) -> str:
        if value is None and not required:
            return ""
        if not isinstance(value, str):
            raise _Wrong(_("Must be text."))
        text = _unicode(value).strip()
        if required and not text:
            raise _Wrong(_("Must not be empty."))
        if len(text) > limit:
            raise _Wrong(_("At most %(limit)d characters.") % {"limit": limit})
        if _CONTROL.search(text):
            raise _Wrong(_("Must be one line without control characters."))
        return text

    return clean


def _integer(low: int, high: int) -> Callable[[Any], int]:
    """Return a cleaner of a whole number; digits in text are accepted, bools are not."""

    def clean(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,12}\s*", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _Wrong(_("Must be a whole number."))
        if not low <= value <= high:
            raise _Wrong(_("Must be between %(low)d and %(high)d.") % {"low": low, "high": high})
        return value

    return clean


def _script(value: Any) -> str:
    """Return the script untouched, unless it is missing or too large."""
    if not isinstance(value, str):
        raise _Wrong(_("Must be text."))
    if not value.strip():
        raise _Wrong(_("The script must not be empty."))
    size_bytes = len(_unicode(value).encode())
    if size_bytes > settings.MAX_SCRIPT_BYTES:
        sentence = _("The script is larger than 1 MiB; keep large data in files on the host.")
        raise TooLarge(sentence, fields={"script_content": [sentence]})
    return value


def _script_type(value: Any) -> str:
    """Return one of the known languages."""
    if value not in ScriptType.values:
        raise _Wrong(_("Must be one of: %(types)s.") % {"types": ", ".join(ScriptType.values)})
    return str(value)


def _ids(value: Any) -> list[int]:
    """Return unique task ids in the given order."""
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise _Wrong(_("Must be a list of task ids."))
    if len(value) > MAX_DEPENDENCIES:
        raise _Wrong(_("At most %(limit)d tasks.") % {"limit": MAX_DEPENDENCIES})
    clean = _integer(1, 2**63 - 1)
    try:
        ids = [clean(one) for one in value]
    except _Wrong as error:
        raise _Wrong(_("Must be a list of task ids.")) from error
    if len(set(ids)) != len(ids):
        raise _Wrong(_("A task id is named twice."))
    return ids


def _timeout(value: Any) -> int | None:
    """Return whole seconds, or None for no limit of the task's own."""
    return None if value in (None, "") else _integer(1, MAX_TIMEOUT_SECONDS)(value)


def _env(value: Any) -> dict[str, str]:
    """Return a map of valid names to strings."""
    entries = _string_map(value)
    wrong = [name for name in entries if not _ENV_NAME.fullmatch(name)]
    if wrong:
        raise _Wrong(_("Not a valid variable name: %(name)s") % {"name": wrong[0][:80]})
    size_bytes = sum(len(name) + len(text.encode()) for name, text in entries.items())
    if size_bytes > MAX_ENV_BYTES:
        raise _Wrong(_("The environment is larger than 64 KiB."))
    return entries


def _labels(value: Any) -> dict[str, str]:
    """Return the labels a host must carry."""
    entries = _string_map(value)
    if len(entries) > MAX_LABELS:
        raise _Wrong(_("At most %(limit)d labels.") % {"limit": MAX_LABELS})
    if any(
        not name or len(name) + len(text) > MAX_LABEL_CHARACTERS for name, text in entries.items()
    ):
        raise _Wrong(_("A label is empty or too long."))
    return entries


def _string_map(value: Any) -> dict[str, str]:
    """Return a map whose keys and values are all strings."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _Wrong(_("Must be an object of names and text values."))
    if not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise _Wrong(_("Names and values must be text."))
    return {_unicode(name): _unicode(text) for name, text in value.items()}


def _unicode(text: str) -> str:
    """Return the text if it can be stored and passed on: no NUL, no lone surrogates."""
    if "\x00" in text:
        raise _Wrong(_("Must not contain NUL characters."))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _Wrong(_("Must be valid Unicode.")) from error
    return text


def _working_dir(value: Any) -> str:
    """Return an absolute path of the host, or "" for a directory of the task's own."""
    text = _text(MAX_WORKING_DIR_CHARACTERS)(value)
    if text and not re.match(r"/|[A-Za-z]:[\\/]", text):
        raise _Wrong(_("Must be an absolute path."))
    return text


def _boolean(value: Any) -> bool:
    """Return a truth value; the words of HTML forms are accepted."""
    if isinstance(value, str) and value.lower() in {"true", "false", "on", ""}:
        return value.lower() in {"true", "on"}
    if not isinstance(value, bool):
        raise _Wrong(_("Must be true or false."))
    return value


def _run_as(value: Any) -> str:
    """Return a user name as POSIX writes it, or "" for the agent's own user."""
    text = _text(32)(value)
    if text and not _USER_NAME.fullmatch(text):
        raise _Wrong(_("Must be the name of a user of the host."))
    return text


def _limits(value: Any) -> dict[str, int]:
    """Return the limits that were given; one that is null or "" is none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _Wrong(_("Must be an object of limits."))
    unknown = [str(name) for name in value if name not in LIMITS]
    if unknown:
        facts = {"name": unknown[0][:40], "names": ", ".join(LIMITS)}
        raise _Wrong(_("%(name)s is not a limit; use %(names)s.") % facts)
    cleaned: dict[str, int] = {}
    for name, number in value.items():
        if number in (None, ""):
            continue
        try:
            cleaned[name] = _integer(*LIMITS[name])(number)
        except _Wrong as error:
            raise _Wrong(f"{name}: {error}") from error
    return cleaned


CLEANERS: dict[str, Callable[[Any], Any]] = {
    "name": _text(MAX_NAME_CHARACTERS, required=True),
    "template_type": _text(MAX_TEMPLATE_TYPE_CHARACTERS, required=True),
    "script_content": _script,
    "script_type": _script_type,
    "priority": _integer(URGENT, LEAST_URGENT),
    "cpu_cores": _integer(0, MAX_CPU_CORES),
    "gpu_count": _integer(0, MAX_GPUS),
    "gpu_memory": _integer(0, MAX_GPU_MEMORY_MB),
    "depends_on": _ids,
    "agent_id": _text(64),
    "labels": _labels,
    "timeout": _timeout,
    "env": _env,
    "working_dir": _working_dir,
    "merge_output": _boolean,
    "run_as": _run_as,
    "limits": _limits,
}
