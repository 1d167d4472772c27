"""ssh: the banner of an SSH server."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import endpoint_problems
from agent_client.protocol.probe_kinds.shape import KindSpec, Settings


class SshSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nobody logs in."""

    banner_regex: Annotated[
        str,
        msgspec.Meta(title="Banner matches", description="A pattern in RE2's syntax."),
    ] = ""


SPEC = KindSpec(
    name="ssh",
    title="SSH",
    summary="Reads the banner of an SSH server; does not log in.",
    target_help="a host, or host and port, like host.example.com:22",
    settings=SshSettings,
    problems_of_target=lambda target: endpoint_problems(target, 22),
)
