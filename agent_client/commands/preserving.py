"""`--preserve`: permissions of a file's source, and as root its owner, at the other end.

Names of owners are what travels, as with every tool that copies between hosts: the numbers
behind them differ.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Any, NamedTuple

from agent_client.errors import Rejected

PERMISSIONS = 0o777


class Source(NamedTuple):
    """Octal permissions such as "0640", and "user:group"; "" for what is not to be kept."""

    mode: str = ""
    owner: str = ""


def of_local(path: Path) -> Source:
    """Return what is kept of a file here; raises OSError. Only root keeps owners."""
    found = path.stat()
    mode = f"{stat.S_IMODE(found.st_mode) & PERMISSIONS:04o}"
    if os.geteuid() != 0:
        return Source(mode)
    try:
        user, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        return Source(mode)  # A number without a name here means nothing elsewhere.
    return Source(mode, f"{user}:{group}")


def of_preview(preview: dict[str, Any] | None) -> Source:
    """Return what is kept of a host's file, as its preview says; raises Rejected."""
    if not preview or preview.get("type") != "file":
        raise Rejected("The host shows no file there.", code="path_unusable")
    return Source(str(preview.get("mode") or ""), str(preview.get("owner") or ""))


def apply(source: Source, path: Path) -> None:
    """Give a file here what its source had; raises Rejected or OSError."""
    if source.owner and os.geteuid() == 0:
        os.chown(path, *_ids(source.owner))
    if source.mode:
        path.chmod(int(source.mode, 8) & PERMISSIONS)


def _ids(owner: str) -> tuple[int, int]:
    user, _, group = owner.partition(":")
    try:
        return pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError:
        raise Rejected(f"There is no {owner} here to own it.", code="path_unusable") from None
