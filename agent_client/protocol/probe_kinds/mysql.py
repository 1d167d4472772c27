"""mysql: the greeting of a MySQL or MariaDB server."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import endpoint_problems
from agent_client.protocol.probe_kinds.shape import KindSpec, Settings


class MysqlSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nobody logs in."""

    version_regex: Annotated[
        str,
        msgspec.Meta(title="Version matches", description="A pattern in RE2's syntax."),
    ] = ""


SPEC = KindSpec(
    name="mysql",
    title="MySQL",
    summary="Reads the greeting of a MySQL or MariaDB server; does not log in.",
    target_help="a host, or host and port, like db.example.com:3306",
    settings=MysqlSettings,
    problems_of_target=lambda target: endpoint_problems(target, 3306),
)
