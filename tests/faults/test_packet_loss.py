"""Every fifth packet between agent and server is lost, by the kernel's own firewall."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import prepared
from tests.faults import rows
from tests.faults.trials import planned
from tests.services import missing

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.NETWORK),
    pytest.mark.xdist_group("packet loss"),
]

OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def check_tools() -> None:
    """Skip, or fail in continuous integration, where the host allows no network of one's own."""
    if shutil.which("nft") is None:
        missing("nft (package nftables)", RuntimeError("not installed"))
    made = subprocess.run(
        [*OWN_NETWORK, "nft", "list", "ruleset"], capture_output=True, check=False
    )
    if made.returncode:
        missing("a network namespace (run as root)", RuntimeError(made.stderr.decode()))


def test_tasks_survive_when_packets_get_lost(tmp_path: Path) -> None:
    check_tools()
    count = planned(short=1, long=20)
    # It notes its trials itself, as this test: its environment says which one runs.
    program = (sys.executable, "-m", "tests.faults.lossy_host")
    host = (*program, str(tmp_path), str(count), str(prepared.home))
    done = subprocess.run([*OWN_NETWORK, *host], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["violations"] == []
    assert told["lost_packets"] > 0
