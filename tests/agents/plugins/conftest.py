"""A clean memory of plug-ins around each test, and packages to upload."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Callable, Iterator

import pytest

from agents.plugins import descriptions, endpoints, reports, store, wanted

SIGNATURE = base64.b64encode(b"s" * 64).decode()
MANIFEST = b"name: gpu_temperature\nversion: 1.2.0\nentry: main.py\n"


@pytest.fixture(autouse=True)
def _clean_plugins(_clean_process) -> Iterator[None]:
    """Forget what the process remembers of plug-ins."""
    yield
    for memory in (store, wanted, reports, descriptions):
        memory.clear()
    endpoints._looked_at.clear()
    endpoints.budgets.clear()
    endpoints.refused_requests.clear()


@pytest.fixture
def archive() -> Callable[..., bytes]:
    """Return a function that makes a package with a manifest and other files."""

    def make(manifest: bytes | None = MANIFEST, **files: bytes) -> bytes:
        content = {} if manifest is None else {"manifest.yaml": manifest}
        content |= files or {"main.py": b"print(1)\n"}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, data in content.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()

    return make
