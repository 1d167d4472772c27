"""The pip of this server's own environment as one file, for hosts whose Python brings none.

Debian's python3 has neither pip nor ensurepip until python3-venv is installed, which needs
root. pip runs from an archive as well, so the installer takes this one.
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from agents.distribution.wheel import zipped

# Not the launchers that pip writes on Windows, and nothing that Python has compiled.
_LEFT_OUT = {".exe", ".pyc"}


@cache
def read() -> bytes | None:
    """Return the archive, of the same bytes in every process; None without pip here."""
    found = importlib.util.find_spec("pip")
    if found is None or found.origin is None:
        return None
    package = Path(found.origin).parent
    return zipped(
        {
            path.relative_to(package.parent).as_posix(): path.read_bytes()
            for path in sorted(package.rglob("*"))
            if path.is_file() and path.suffix not in _LEFT_OUT
        }
    )


def sha256() -> str:
    """Return the archive's digest in hex, "" when there is none."""
    data = read()
    return "" if data is None else hashlib.sha256(data).hexdigest()
