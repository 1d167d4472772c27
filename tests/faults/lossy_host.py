"""Run as a process in a network of its own: an installation whose packets get lost.

`python -m tests.faults.lossy_host DIRECTORY TRIALS PREPARED`. The firewall rule is one of this
network alone; it meets the agents' connections only, not the client that asks what became
of the tasks. Prints the violations and the number of lost packets as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.e2e import prepared
from tests.e2e.stack import wait_for
from tests.faults.lab import heal_seconds, repeat, running_lab
from tests.faults.lines import lines_of

LOST_PERCENT = 20
TABLE = "inet losses"
HOSTS = {"socket": {}, "polling": {"AGENT_CONNECTION_TRANSPORT": "polling"}}


def lose_packets(ports: Sequence[int]) -> None:
    """Drop every fifth packet to and from the ports, at random."""
    chance = f"numgen random mod 100 < {LOST_PERCENT} counter drop"
    _nft("add", "table", *TABLE.split())
    _nft(*f"add chain {TABLE} input".split(), "{ type filter hook input priority 0; }")
    for port in ports:
        for side in ("sport", "dport"):
            _nft(*f"add rule {TABLE} input tcp {side} {port} {chance}".split())


def lost_packets() -> list[int]:
    """Return how many packets each rule has dropped."""
    listed = json.loads(_nft("-j", "list", "ruleset"))
    rules = [one["rule"]["expr"] for one in listed["nftables"] if "rule" in one]
    return [part["counter"]["packets"] for rule in rules for part in rule if "counter" in part]


def heal() -> int:
    """Let every packet through; return how many were lost."""
    lost = sum(lost_packets())
    _nft("delete", "table", *TABLE.split())
    return lost


def main(directory: Path, count: int) -> dict[str, object]:
    """Make so many spells of bad weather under load; return what was lost and violated."""
    lost = []
    with running_lab(directory, agents=()) as lab, lines_of(lab, HOSTS) as lines:
        ports = [line.proxy.port for line in lines]

        def spell() -> int:
            lose_packets(ports)
            lab.pause(3)
            # A spell that met no packet of a host was none.
            wait_for(lambda: all(map(sum, zip(*[iter(lost_packets())] * 2, strict=True))))
            lost.append(heal())
            return len(lines)

        found = repeat(lab, count, spell, within=heal_seconds)
        return {"lost_packets": sum(lost), "violations": [list(one) for one in found]}


def _nft(*arguments: str) -> str:
    return subprocess.run(["nft", *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    prepared.home = Path(sys.argv[3])
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
