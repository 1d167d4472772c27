"""Run as a process in a network of its own: an installation whose packets get lost.

`python -m tests.faults.lossy_host DIRECTORY TRIALS`. The firewall rule is one of this
network alone; it meets the agent's connection only, not the client that asks what became
of the tasks. Prints the violations and the number of lost packets as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.faults.lab import SLOTS, repeat, running_lab
from tests.faults.proxy import Proxy

LOST_PERCENT = 20
TABLE = "inet losses"


def lose_packets(port: int) -> None:
    """Drop every fifth packet to and from the port, at random."""
    chance = f"numgen random mod 100 < {LOST_PERCENT} counter drop"
    _nft("add", "table", *TABLE.split())
    _nft(*f"add chain {TABLE} input".split(), "{ type filter hook input priority 0; }")
    for side in ("sport", "dport"):
        _nft(*f"add rule {TABLE} input tcp {side} {port} {chance}".split())


def heal() -> int:
    """Let every packet through; return how many were lost."""
    listed = json.loads(_nft("-j", "list", "ruleset"))
    rules = [one["rule"]["expr"] for one in listed["nftables"] if "rule" in one]
    _nft("delete", "table", *TABLE.split())
    return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)


def main(directory: Path, count: int) -> dict[str, object]:
    """Make so many spells of bad weather under load; return what was lost and violated."""
    lost = []
    with running_lab(directory, agents=()) as lab:
        proxy = Proxy(lab.stack.port, seed=lab.chance.randrange(10**6))
        lab.stack.start_agent(
            "far",
            server=proxy.url,
            AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS,
            AGENT_CONNECTION_WS_BACKOFF_INITIAL_MS="100",
            AGENT_CONNECTION_WS_BACKOFF_MAX_MS="500",
        )

        def spell() -> None:
            lose_packets(proxy.port)
            lab.pause(3)
            lost.append(heal())

        found = repeat(lab, count, spell)
        proxy.close()
        return {"lost_packets": sum(lost), "violations": [list(one) for one in found]}


def _nft(*arguments: str) -> str:
    return subprocess.run(["nft", *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
