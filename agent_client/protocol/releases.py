"""Releases of the agent on the wire: which one a host is to run, and what came of it.

The server names the wanted release in `welcome`, `ack` and the answer of a beat; the host
says in `hello` which one it runs, and why it does not run the one it was last told. Pure
data; the patterns keep a name from becoming a path.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.part import Number, Part

ReleaseVersion = Annotated[str, msgspec.Meta(pattern=r"^[0-9][0-9A-Za-z.+]{0,31}\Z")]
ReleaseDigest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class WantedRelease(Part, frozen=True):
    """The wheel that a host is to run, by its exact bytes.

    order counts what people asked of this host: one that failed is not tried again, the
    same release under a new order is.
    """

    order: Number
    version: ReleaseVersion
    sha256: ReleaseDigest
    size_bytes: Number


class ReleaseState(Part, frozen=True):
    """What a host runs (sha256 is "" outside the versioned layout), and what failed last."""

    sha256: str = ""
    can_change: bool = False
    failed_order: Number = 0
    code: str = ""
    detail: str = ""


def wheel_name(version: str) -> str:
    """Return the file name of a version's wheel, as pip and the server know it."""
    return f"dialer_agent-{version}-py3-none-any.whl"
