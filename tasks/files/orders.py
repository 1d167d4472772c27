"""What a task of a file kind is to move: checks the request's `file`, field by field.

Pure: reads no database; that an uploaded file exists is checked by the services. Returns
plain values, as they are stored and sent again by a rerun.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from agent_client.protocol.transfers import MAX_BANDWIDTH_MB
from dialer_platform.errors import Invalid
from tasks.choices import Kind

MAX_PATH_CHARACTERS = 4_096
MAX_EXCERPT_BYTES = 256 * 1024
"""Most of the head, and of the tail, that a preview shows."""
TEMPLATE_TYPE = "file"

_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?")
_MODE = re.compile(r"0?[0-7]{3,4}")
NOT_IN_LINES = r"\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069"
"""Control characters, and those that turn the direction of text: `exe.txt` would read otherwise."""
_CONTROL = re.compile(f"[{NOT_IN_LINES}]")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")

_FOR_UPLOAD = ("id", "archive", "overwrite", "mode", "owner", "bandwidth_mb")
_FOR_DOWNLOAD = ("archive", "bandwidth_mb")
_FOR_PREVIEW = ("head_bytes", "tail_bytes")
FIELDS: dict[str, tuple[str, ...]] = {
    Kind.FILE_UPLOAD: ("path", *_FOR_UPLOAD),
    Kind.FILE_DOWNLOAD: ("path", *_FOR_DOWNLOAD),
    Kind.FILE_PREVIEW: ("path", *_FOR_PREVIEW),
}
"""What each kind takes."""
DEFAULTS: dict[str, Any] = {
    "archive": False,
    "overwrite": False,
    "mode": None,
    "owner": "",
    "bandwidth_mb": 0.0,
    "head_bytes": 64 * 1024,
    "tail_bytes": 0,
}
REQUIRED: dict[str, tuple[str, ...]] = {
    Kind.FILE_UPLOAD: ("id", "path"),
    Kind.FILE_DOWNLOAD: ("path",),
    Kind.FILE_PREVIEW: ("path",),
}


class _Wrong(Exception):
    """One field is wrong; carries the sentence."""


def clean_file(kind: str, value: Any) -> dict[str, Any]:
    """Return the complete order of a file kind; raises Invalid with fields `file.<name>`."""
    if not isinstance(value, Mapping):
        sentence = _("Must be an object that says which file to move.")
        raise Invalid(sentence, fields={"file": [sentence]})
    errors: dict[str, list[str]] = {}
    cleaned = {name: DEFAULTS[name] for name in FIELDS[kind] if name in DEFAULTS}
    for name in value:
        if name not in FIELDS[kind]:
            names = ", ".join(FIELDS[kind])
            sentence = _("Not a field of this kind of task; it takes %(names)s.")
            errors[f"file.{str(name)[:40]}"] = [sentence % {"names": names}]
            continue
        try:
            cleaned[name] = CLEANERS[name](value[name])
        except _Wrong as error:
            errors[f"file.{name}"] = [str(error)]
    if cleaned.get("archive") and cleaned.get("mode"):
        errors["file.mode"] = [_("An archive keeps what is executable; it takes no mode.")]
    for name in REQUIRED[kind]:
        if name not in cleaned and f"file.{name}" not in errors:
            errors[f"file.{name}"] = [_("This field is required.")]
    if errors:
        raise Invalid(_("Some fields are not valid."), fields=errors)
    return cleaned


def clean_bandwidth(value: Any) -> float:
    """Return a limit in MB/s, 0 for none; raises Invalid with the field `bandwidth_mb`."""
    try:
        if value is None or value == "":
            raise _Wrong(_("This field is required."))
        return _bandwidth(value)
    except _Wrong as error:
        sentence = _("Some fields are not valid.")
        raise Invalid(sentence, fields={"bandwidth_mb": [str(error)]}) from error


def name_of(path: str) -> str:
    """Return the last part of a path of any host, "file" when there is none."""
    last = posixpath.basename(path.replace("\\", "/").rstrip("/"))
    return last[:200] or "file"


def title_of(kind: str, path: str) -> str:
    """Return the name of a task that was given none."""
    verb = {Kind.FILE_UPLOAD: "send", Kind.FILE_DOWNLOAD: "fetch"}.get(Kind(kind), "show")
    room = 200 - len(verb) - 2
    return f"{verb} {path if len(path) <= room else '…' + path[-room:]}"


def _path(value: Any) -> str:
    """Return an absolute path of the host, without steps upwards."""
    text = _line(value, MAX_PATH_CHARACTERS)
    if not text:
        raise _Wrong(_("Must not be empty."))
    if not text.startswith("/") and not _DRIVE.match(text):
        raise _Wrong(_("Must be an absolute path."))
    if ".." in re.split(r"[\\/]", text):
        raise _Wrong(_("Must not contain “..”."))
    return text


def _id(value: Any) -> str:
    """Return the id of a file of the server."""
    text = _line(value, 32)
    if not text:
        raise _Wrong(_("Must not be empty."))
    return text


def _owner(value: Any) -> str:
    """Return "user", "user:group" or "" for whoever the agent is."""
    text = _line(value, 65) if value is not None else ""
    if text and not _OWNER.fullmatch(text):
        raise _Wrong(_("Must be a user of the host, or user:group."))
    return text


def _mode(value: Any) -> str | None:
    """Return permission bits as octal text such as "0644", None to leave them to the host."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise _Wrong(_("Must be octal digits as text, such as 0644."))
    return f"{int(value, 8):04o}"


def _boolean(value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise _Wrong(_("Must be true or false."))
    return value


def _bandwidth(value: Any) -> float:
    """Return MB per second, 0 for no limit."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(_("Must be a number."))
    if not 0 <= value <= MAX_BANDWIDTH_MB:  # NaN is not in the range either
        raise _Wrong(
            _("Must be between %(low)d and %(high)d.") % {"low": 0, "high": MAX_BANDWIDTH_MB}
        )
    return float(value)


def _excerpt(value: Any) -> int:
    """Return a number of bytes to show."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong(_("Must be a whole number."))
    if not 0 <= value <= MAX_EXCERPT_BYTES:
        facts = {"low": 0, "high": MAX_EXCERPT_BYTES}
        raise _Wrong(_("Must be between %(low)d and %(high)d.") % facts)
    return value


def _line(value: Any, limit: int) -> str:
    """Return one line of text that can be stored and passed on."""
    if not isinstance(value, str):
        raise _Wrong(_("Must be text."))
    if len(value) > limit:
        raise _Wrong(_("At most %(limit)d characters.") % {"limit": limit})
    if _CONTROL.search(value):
        raise _Wrong(_("Must be one line without control characters."))
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _Wrong(_("Must be valid Unicode.")) from error
    return value


CLEANERS: dict[str, Callable[[Any], Any]] = {
    "id": _id,
    "path": _path,
    "archive": _boolean,
    "overwrite": _boolean,
    "mode": _mode,
    "owner": _owner,
    "bandwidth_mb": _bandwidth,
    "head_bytes": _excerpt,
    "tail_bytes": _excerpt,
}
