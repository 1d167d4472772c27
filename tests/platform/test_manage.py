"""The entry point with settings that cannot be used: one sentence, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def manage(**environ: str) -> subprocess.CompletedProcess[str]:
    """Return what a command did in an environment."""
    return subprocess.run(
        [sys.executable, "manage.py", "up", "--no-agent"],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_port_that_is_no_number_is_named(tmp_path):
    done = manage(DIALER_PORT="abc", DIALER_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "manage.py: DIALER_PORT='abc' is not a whole number\n"


@pytest.mark.parametrize("below", ["data", "deep/data"])
def test_data_directory_that_cannot_be_made_is_named_with_the_remedy(tmp_path, below):
    (tmp_path / "file").touch()
    done = manage(DIALER_DATA_DIR=str(tmp_path / "file" / below))
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr
    assert done.stderr.endswith("Name a directory that can be written in DIALER_DATA_DIR.\n")
    assert "Traceback" not in done.stderr
