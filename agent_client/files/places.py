"""Where the directories of the host's policy really are: looked up once, when it is read.

Transfers then walk there from `/` without following any link, so nobody who may write into a
directory above can turn an allowed directory into a link to somewhere else afterwards. A link
that is there already is followed only when root or the agent's own user made it; whoever else
made one has no say in what is allowed.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_LINKS = 40
"""As many as the kernel follows."""


class UntrustedLink(Exception):
    """A directory of the policy is reached over a link that is not to be believed."""


def places_of(roots: Iterable[Path]) -> Mapping[str, str]:
    """Return where each absolute directory is, by its name in the policy.

    One that is reached over an untrusted link is said and left out. What does not exist yet
    keeps its name.
    """
    found: dict[str, str] = {}
    for root in roots:
        try:
            found[str(root)] = _place(str(root))
        except (UntrustedLink, OSError) as error:
            logger.warning("directory %s of the policy allows nothing: %s", root, error)
    return found


def _place(path: str) -> str:
    """Return a path without links; raises UntrustedLink or OSError."""
    place, ahead, links = "/", _parts(path), 0
    while ahead:
        name, *ahead = ahead
        if name == "..":
            place = os.path.dirname(place)
            continue
        following = os.path.join(place, name)
        if not _is_link(following):
            place = following
            continue
        links += 1
        if links > MAX_LINKS:
            raise UntrustedLink("too many links lead there")
        target = os.readlink(following)
        ahead = [*_parts(target), *ahead]
        place = "/" if target.startswith("/") else place
    return place


def _is_link(path: str) -> bool:
    """Return whether this is a link that may be followed; raises UntrustedLink or OSError."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISLNK(found.st_mode):
        return False
    if found.st_uid not in (0, os.geteuid()):
        raise UntrustedLink(f"{path} is a link of another user")
    return True


def _parts(path: str) -> list[str]:
    return [one for one in path.split("/") if one not in ("", ".")]
