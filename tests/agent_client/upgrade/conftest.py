"""A versioned installation in a temporary directory, without Python environments in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_client.protocol.releases import WantedRelease
from agent_client.upgrade import versions
from agent_client.upgrade.installation import Installation

OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with the old version running and the new one built."""
    for version, sha256 in (("1.0", OLD), ("2.0", NEW)):
        folder = versions.folder_of(tmp_path, version, sha256)
        folder.mkdir(parents=True)
        (folder / versions.COMPLETE).write_text(sha256)
    versions.write_programs(tmp_path)
    versions.switch(tmp_path, versions.folder_of(tmp_path, "1.0", OLD))
    return tmp_path


@pytest.fixture
def old(home: Path) -> Installation:
    """Return the installation as the old version's process sees it."""
    return Installation(home, versions.folder_of(home, "1.0", OLD))


@pytest.fixture
def new(home: Path) -> Installation:
    """Return the installation as the new version's process sees it."""
    return Installation(home, versions.folder_of(home, "2.0", NEW))


@pytest.fixture
def release() -> WantedRelease:
    """Return the wish for the new version."""
    return WantedRelease(order=3, version="2.0", sha256=NEW, size_bytes=5)
