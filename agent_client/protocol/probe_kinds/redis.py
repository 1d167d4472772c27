"""redis: PING, after AUTH where there is a password."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import endpoint_problems
from agent_client.protocol.probe_kinds.secure import SecureSettings
from agent_client.protocol.probe_kinds.shape import KindSpec


class RedisSettings(SecureSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server that asks for a password and gets none counts as up."""

    tls: Annotated[bool, msgspec.Meta(title="TLS", description="Encrypt from the start.")] = False
    username: Annotated[str, msgspec.Meta(title="User name", max_length=256)] = ""
    password: Annotated[
        str, msgspec.Meta(title="Password", max_length=1_024, extra_json_schema={"secret": True})
    ] = ""


SPEC = KindSpec(
    name="redis",
    title="Redis",
    summary="Sends PING to a Redis server.",
    target_help="a host, or host and port, like cache.example.com:6379",
    settings=RedisSettings,
    problems_of_target=lambda target: endpoint_problems(target, 6379),
)
