"""Makes packages for tests: good ones by the real way, bad ones by hand."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

from agent_client.plugins import sdk, signing
from agent_client.plugins.pack import pack
from agent_client.protocol.plugins import PluginPackage

SOURCE = """
import os, sys
import sdk
class P(sdk.Plugin):
    name, version = "demo", "{version}"
    def collect(self):
        return {{"value": {value}}}
{extra}
sdk.run(P())
"""


class Author:
    """Somebody with a key."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)
        self.key_file = directory / "key.pem"
        self.public = signing.make_key(self.key_file)
        self.key = signing.read_key(self.key_file)

    def source(self, version: str, *, value: int = 1, extra: str = "", name: str = "demo") -> Path:
        """Return the directory of a plug-in."""
        place = self._directory / f"{name}-{version}"
        place.mkdir(exist_ok=True)
        (place / "main.py").write_text(SOURCE.format(version=version, value=value, extra=extra))
        (place / "sdk.py").write_text(Path(sdk.__file__).read_text())
        (place / "manifest.yaml").write_text(
            f"name: {name}\nversion: '{version}'\nentry: main.py\n"
        )
        return place

    def package(self, version: str, **source: Any) -> tuple[PluginPackage, bytes]:
        """Return a signed package and its bytes."""
        data = pack(self.source(version, **source)).data
        return self.signed(version, data, name=source.get("name", "demo")), data

    def signed(self, version: str, data: bytes, name: str = "demo") -> PluginPackage:
        """Sign any bytes as a version of a plug-in."""
        sha256 = hashlib.sha256(data).hexdigest()
        return PluginPackage(
            version=version,
            sha256=sha256,
            signature=signing.sign(self.key, name, version, sha256),
            size_bytes=len(data),
        )


def archive(*entries: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """Return a gzipped tar of anything."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            tar.addfile(info, io.BytesIO(entry[1]))
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return an entry that is no file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info
