"""dns: ask a name server for a record and check the answer."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent_client.protocol.probe_kinds.endpoints import endpoint_problems, host_problems
from agent_client.protocol.probe_kinds.shape import KindSpec, Problems, Settings


class DnsSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """server is empty for the first name server of the agent's host."""

    server: Annotated[
        str,
        msgspec.Meta(
            title="Name server",
            description="Like 192.0.2.53 or ns1.example.com:5353; empty = the host's own.",
            max_length=300,
        ),
    ] = ""
    record_type: Annotated[
        Literal["A", "AAAA", "CNAME", "MX", "TXT", "SRV", "NS", "SOA", "PTR", "CAA"],
        msgspec.Meta(title="Record type", description=""),
    ] = "A"
    transport: Annotated[Literal["udp", "tcp"], msgspec.Meta(title="Transport", description="")] = (
        "udp"
    )
    expected: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=512)], ...],
        msgspec.Meta(
            title="Expected answers",
            description="Every one must be among the answers, as `dig +short` prints them.",
            max_length=50,
        ),
    ] = ()
    expected_code: Annotated[
        Literal["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"],
        msgspec.Meta(title="Expected response code", description=""),
    ] = "NOERROR"


def problems(settings: DnsSettings) -> Problems:
    """Return what is wrong with the name server."""
    found = endpoint_problems(settings.server, 53) if settings.server else []
    return {"server": found} if found else {}


SPEC = KindSpec(
    name="dns",
    title="DNS",
    summary="Asks a name server for a record.",
    target_help="a name like example.com",
    settings=DnsSettings,
    problems_of_target=host_problems,
    problems_of_settings=problems,
)
