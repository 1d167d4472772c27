"""udp: send a datagram, and expect an answer if one is described."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import endpoint_problems
from agent_client.protocol.probe_kinds.payload import payload_problem
from agent_client.protocol.probe_kinds.shape import KindSpec, Problems, Settings


class UdpSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without an expected answer only a refusal is noticed: UDP has no connection."""

    send: Annotated[
        str,
        msgspec.Meta(
            title="Send", description="May contain \\r, \\n and \\xNN.", max_length=16_384
        ),
    ] = ""
    expect: Annotated[
        str,
        msgspec.Meta(title="Expect", description="Must occur in the answer.", max_length=4_096),
    ] = ""
    expect_regex: Annotated[
        str, msgspec.Meta(title="Expect pattern", description="A pattern in RE2's syntax.")
    ] = ""


def problems(settings: UdpSettings) -> Problems:
    """Return what is wrong with settings beyond their types."""
    found: Problems = {}
    for name in ("send", "expect"):
        if problem := payload_problem(getattr(settings, name)):
            found[name] = [problem]
    return found


SPEC = KindSpec(
    name="udp",
    title="UDP",
    summary="Sends a datagram and waits for the answer, if one is expected.",
    target_help="a host and port like ntp.example.com:123",
    settings=UdpSettings,
    problems_of_target=endpoint_problems,
    problems_of_settings=problems,
)
