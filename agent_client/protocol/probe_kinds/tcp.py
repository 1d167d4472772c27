"""tcp: connect to a port; optionally under TLS, send something, expect something."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import endpoint_problems
from agent_client.protocol.probe_kinds.payload import payload_problem
from agent_client.protocol.probe_kinds.secure import SecureSettings
from agent_client.protocol.probe_kinds.shape import KindSpec, Problems


class TcpSettings(SecureSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts may contain \\r, \\n and \\xNN."""

    tls: Annotated[bool, msgspec.Meta(title="TLS", description="Encrypt from the start.")] = False
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
    max_read_bytes: Annotated[
        int,
        msgspec.Meta(
            title="Longest answer (bytes)",
            description="Reading ends here.",
            ge=1,
            le=1_048_576,
        ),
    ] = 65_536


def problems(settings: TcpSettings) -> Problems:
    """Return what is wrong with settings beyond their types."""
    found: Problems = {}
    for name in ("send", "expect"):
        if problem := payload_problem(getattr(settings, name)):
            found[name] = [problem]
    if settings.expect and settings.expect_regex:
        found["expect_regex"] = ["Use expect or expect_regex, not both."]
    return found


SPEC = KindSpec(
    name="tcp",
    title="TCP",
    summary="Connects to a port and, if wanted, exchanges a few bytes.",
    target_help="a host and port like db.example.com:5432",
    settings=TcpSettings,
    problems_of_target=endpoint_problems,
    problems_of_settings=problems,
)
