"""What the process of a transfer is told: one JSON document, by an inherited descriptor.

Not by its arguments or its environment: the token of the transfer stands in it, and those
can be read by others on the host.
"""

from __future__ import annotations

import os

import msgspec

from agent_client.protocol.transfers import TaskKind, Transfer

MAX_ORDER_BYTES = 256 * 1024


class FilesOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer, and what this host allows it.

    servers are base addresses, tried in turn. roots are the directories of the host's
    policy, each with its place without links, hidden the directories and files of the agent
    itself. limits is an open descriptor of the agent's limits, own_limit one of the limit of
    this transfer alone, which may be changed meanwhile; None when there is none.
    """

    kind: TaskKind
    transfer: Transfer
    servers: tuple[str, ...]
    roots: dict[str, str]
    hidden: tuple[str, ...] = ()
    ca_file: str = ""
    fingerprint: str = ""
    limits: int | None = None
    own_limit: int | None = None


def read_order(descriptor: int) -> FilesOrder:
    """Return the order behind a descriptor; raises OSError or msgspec.MsgspecError."""
    return msgspec.json.decode(os.pread(descriptor, MAX_ORDER_BYTES, 0), type=FilesOrder)
