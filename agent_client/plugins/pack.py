"""Makes the package of a plug-in from its directory: the same files give the same bytes."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent_client.plugins.signing import refused
from agent_client.protocol.plain_yaml import load_plain
from agent_client.protocol.plugin_package import (
    MANIFEST_FILE,
    MAX_DEPTH,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    MAX_PACKAGE_BYTES,
    MAX_UNPACKED_BYTES,
    Manifest,
)

_LEFT_OUT = ("__pycache__",)


class Packed(NamedTuple):
    """A package, ready to be signed."""

    manifest: Manifest
    data: bytes


def pack(directory: Path) -> Packed:
    """Return the package of a directory; raises Rejected or OSError.

    Hidden files and caches of Python are left out; a link is refused, not followed.
    """
    # Sorted names, fixed modes and no times: who builds it again can compare.
    files = _files(directory)
    names = [file.relative_to(directory).as_posix() for file in files]
    if MANIFEST_FILE not in names:
        raise refused(f"{directory} has no {MANIFEST_FILE}")
    manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes())
    if manifest.entry not in names:
        raise refused(f"{MANIFEST_FILE} names the entry {manifest.entry}, which is not there")
    archive = io.BytesIO()
    with (
        # No time and no name in it: they would make every package another one.
        gzip.GzipFile(filename="", mode="wb", fileobj=archive, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for file, name in zip(files, names, strict=True):
            _add(tar, file, name)
    data = archive.getvalue()
    if len(data) > MAX_PACKAGE_BYTES:
        raise refused(f"the package has {len(data)} bytes, more than {MAX_PACKAGE_BYTES}")
    return Packed(manifest, data)


def parse_manifest(data: bytes) -> Manifest:
    """Return a manifest; raises Rejected with what is wrong in it."""
    try:
        # YAML costs far more time and memory than its text.
        if len(data) > MAX_MANIFEST_BYTES:
            raise ValueError(f"it has more than {MAX_MANIFEST_BYTES} bytes")
        return msgspec.convert(load_plain(data), Manifest)
    except Exception as error:  # a stranger's YAML raises many kinds, each of them a refusal
        raise refused(f"{MANIFEST_FILE} cannot be used: {error}") from error


def _files(directory: Path) -> list[Path]:
    """Return the files to pack in a fixed order; raises Rejected for what no package holds."""
    found: list[Path] = []
    for place, directories, names in os.walk(directory):
        directories[:] = [one for one in directories if not _is_left_out(one)]
        for name in (*directories, *names):
            path = Path(place) / name
            if path.is_symlink():
                raise refused(f"{path} is a link; put the file itself there")
        found += [Path(place) / name for name in names if not _is_left_out(name)]
    if len(found) > MAX_FILES:
        raise refused(f"{directory} has more than {MAX_FILES} files")
    if any(len(file.relative_to(directory).parts) > MAX_DEPTH for file in found):
        raise refused(f"{directory} is more than {MAX_DEPTH} directories deep")
    if sum(file.stat().st_size for file in found) > MAX_UNPACKED_BYTES:
        raise refused(f"the files are more than {MAX_UNPACKED_BYTES} bytes")
    return sorted(found, key=lambda file: file.relative_to(directory).as_posix())


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name in _LEFT_OUT


def _add(tar: tarfile.TarFile, file: Path, name: str) -> None:
    """Add one file without anything that belongs to this machine."""
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise refused(f"{file} is no plain file")
    entry = tarfile.TarInfo(name)
    data = file.read_bytes()
    entry.size = len(data)
    # Only the executable bit means anything on another host.
    entry.mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
    tar.addfile(entry, io.BytesIO(data))
