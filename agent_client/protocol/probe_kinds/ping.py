"""ping: ICMP echo; loss, round trips, jitter."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import host_problems
from agent_client.protocol.probe_kinds.shape import KindSpec, Settings


class PingSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some packets, one after the other."""

    count: Annotated[int, msgspec.Meta(title="Packets", ge=1, le=50)] = 4
    interval_ms: Annotated[
        int,
        msgspec.Meta(title="Between packets (ms)", description="", ge=10, le=10_000),
    ] = 200
    packet_timeout_ms: Annotated[
        int,
        msgspec.Meta(
            title="Lost after (ms)",
            description="Shortened when the run's timeout leaves less for each packet.",
            ge=10,
            le=60_000,
        ),
    ] = 1_000
    payload_bytes: Annotated[int, msgspec.Meta(title="Payload (bytes)", ge=0, le=1_400)] = 56
    warn_loss_percent: Annotated[
        float,
        msgspec.Meta(title="Degraded from (% lost)", description="", ge=0.1, le=100),
    ] = 1.0
    down_loss_percent: Annotated[
        float, msgspec.Meta(title="Down from (% lost)", description="", ge=0.1, le=100)
    ] = 100.0


SPEC = KindSpec(
    name="ping",
    title="Ping",
    summary="Sends ICMP echo requests and counts the answers.",
    target_help="a host like gateway.example.com or 192.0.2.1",
    settings=PingSettings,
    problems_of_target=host_problems,
)
