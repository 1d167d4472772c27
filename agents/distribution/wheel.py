"""The agent as a wheel of its own: built from its sources by the standard library alone.

Pure: sources in, bytes out. Promises that the same sources give the same bytes on every
machine, so that a hash names a version and several servers offer the same file.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = "agent_client"
LOCK = "requirements.lock"
"""What the agent needs, with the digest of every file of it; the installer looks for it."""
_VERSION = re.compile(r'^__version__ = "([0-9][0-9A-Za-z.+]{0,31})"$', re.MULTILINE)
# Zip knows no earlier moment; a real one would give other bytes with every build.
_MOMENT = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16


class SourcesUnusable(Exception):
    """The agent's sources lack what a wheel needs; the sentence names it."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A built wheel; sha256 is in hex."""

    version: str
    data: bytes

    @property
    def file_name(self) -> str:
        """Return the name under which pip accepts it."""
        return f"dialer_agent-{self.version}-py3-none-any.whl"

    @property
    def sha256(self) -> str:
        """Return the digest of the whole file."""
        return hashlib.sha256(self.data).hexdigest()


def build_wheel(sources: Path) -> Wheel:
    """Return the wheel of the package in the folder `sources`; raises SourcesUnusable."""
    try:
        version_line = _VERSION.search((sources / "__init__.py").read_text(encoding="utf-8"))
        project = tomllib.loads((sources / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lock = (sources / LOCK).read_bytes()
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise SourcesUnusable(f"{sources}: {error}") from error
    if version_line is None:
        raise SourcesUnusable(f'{sources}/__init__.py has no line __version__ = "…".')
    version = version_line[1]
    info = f"dialer_agent-{version}.dist-info"
    files = {
        f"{PACKAGE}/{path.relative_to(sources).as_posix()}": path.read_bytes()
        for path in sorted(sources.rglob("*.py"))
    }
    files[f"{info}/METADATA"] = _metadata(project, version).encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: dialer\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{info}/entry_points.txt"] = (
        b"[console_scripts]\ndialer-agent = agent_client.__main__:main\n"
    )
    files[f"{info}/{LOCK}"] = lock
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD").encode()
    return Wheel(version, zipped(files))


def _metadata(project: dict[str, Any], version: str) -> str:
    """Return the METADATA file."""
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {project['name']}",
        f"Version: {version}",
        f"Summary: {project['summary']}",
        f"License: {project['license']}",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {one}" for one in project["dependencies"]),
    ]
    return "\n".join(lines) + "\n"


def _record(files: dict[str, bytes], own_name: str) -> str:
    """Return the RECORD file: the digest and size of every file but itself."""
    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}")
    return "\n".join([*lines, f"{own_name},,"]) + "\n"


def zipped(files: dict[str, bytes]) -> bytes:
    """Return the archive; stored, because compressed bytes differ between zlib versions."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name, _MOMENT)
            member.external_attr = _PLAIN_FILE
            member.create_system = 3  # Unix, also when it is built elsewhere
            archive.writestr(member, data)
    return buffer.getvalue()
