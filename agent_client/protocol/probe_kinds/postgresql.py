"""postgresql: the start of a PostgreSQL session, up to the question for a password."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import endpoint_problems
from agent_client.protocol.probe_kinds.secure import SecureSettings
from agent_client.protocol.probe_kinds.shape import KindSpec


class PostgresqlSettings(SecureSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nobody logs in: the server must be ready to ask who it is."""

    tls: Annotated[bool, msgspec.Meta(title="TLS", description="Must be offered.")] = False
    username: Annotated[str, msgspec.Meta(title="User name", max_length=63)] = "postgres"
    database: Annotated[str, msgspec.Meta(title="Database", max_length=63)] = "postgres"


SPEC = KindSpec(
    name="postgresql",
    title="PostgreSQL",
    summary="Starts a session up to the question for a password.",
    target_help="a host, or host and port, like db.example.com:5432",
    settings=PostgresqlSettings,
    problems_of_target=lambda target: endpoint_problems(target, 5432),
)
