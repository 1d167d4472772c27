"""What a plug-in's package is, for its author, the server and the agent alike. Pure.

A package is a gzipped tar with `manifest.yaml` at its top. What is signed (Ed25519) is not
the file but name, version and SHA-256 of the file: so a signature says of exactly one
package that it is this version of this plug-in, and can be checked before it is fetched.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from agent_client.protocol.part import Part
from agent_client.protocol.plugins import PluginName

MANIFEST_FILE = "manifest.yaml"
MAX_MANIFEST_BYTES = 16 * 1024
MAX_PACKAGE_BYTES = 20 * 1024 * 1024
MAX_FILES = 1_000
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 8

_VERSION = r"^[0-9]{1,9}(\.[0-9]{1,9}){0,3}\Z"
Version = Annotated[str, msgspec.Meta(pattern=_VERSION)]


class Manifest(Part, frozen=True):
    """The manifest; entry is the file to run: Python if it ends in .py, else executable."""

    name: PluginName
    version: Version
    entry: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}\Z")]
    description: Annotated[str, msgspec.Meta(max_length=500)] = ""


def signed_text(name: str, version: str, sha256: str) -> bytes:
    """Return the bytes that the signature of a package is about."""
    return f"dialer-plugin-package-v1\n{name}\n{version}\n{sha256}\n".encode()


def version_key(version: str) -> tuple[int, ...]:
    """Return a version for comparison: 1.10 is above 1.9, and 2.0 is 2; raises ValueError."""
    if not re.match(_VERSION, version):
        raise ValueError(f"{version[:40]!r} is no version, like 1.2.3")
    numbers = [int(part) for part in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
