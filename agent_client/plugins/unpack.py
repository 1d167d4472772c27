"""Takes a package apart, and compares what lies on the disk with what was signed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agent_client.plugins.signing import refused
from agent_client.protocol.package_archive import BadPackage, Content, read_archive


def read_package(data: bytes) -> dict[str, Content]:
    """Return the files of a package by name; raises Rejected."""
    try:
        return read_archive(data)
    except BadPackage as error:
        raise refused(f"the package is not used: {error}") from error


def write_files(files: Mapping[str, Content], directory: Path) -> None:
    """Write the files of a package into a new directory; raises OSError."""
    directory.mkdir(mode=0o700)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = 0o700 if content.is_executable else 0o600
        # O_EXCL and O_NOFOLLOW: nothing that is there already is written through.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            file.write(content.data)
            file.flush()
            os.fsync(file.fileno())


def is_unchanged(files: Mapping[str, Content], directory: Path) -> bool:
    """Return whether a directory holds exactly the files of a package, and nothing else."""
    found: set[str] = set()
    for place, directories, names in os.walk(directory):
        # A link could lead to files that change after this look.
        if any((Path(place) / one).is_symlink() for one in (*directories, *names)):
            return False
        found |= {(Path(place) / name).relative_to(directory).as_posix() for name in names}
    if found != files.keys():
        return False
    return all(
        (directory / name).read_bytes() == content.data
        and bool((directory / name).stat().st_mode & 0o100) == content.is_executable
        for name, content in files.items()
    )
