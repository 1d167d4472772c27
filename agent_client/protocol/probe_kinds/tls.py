"""tls: do a TLS handshake and check the certificates."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import endpoint_problems
from agent_client.protocol.probe_kinds.secure import SecureSettings
from agent_client.protocol.probe_kinds.shape import KindSpec


class TlsSettings(SecureSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """certificate_down_days is the harder of the two limits."""

    certificate_down_days: Annotated[
        int,
        msgspec.Meta(
            title="Certificate limit (days)",
            description="Down when a certificate ends sooner; 0 = only when it has ended.",
            ge=0,
            le=3_650,
        ),
    ] = 0


SPEC = KindSpec(
    name="tls",
    title="TLS certificate",
    summary="Does a TLS handshake and looks at how long the certificates last.",
    target_help="a host, or host and port, like example.com:443",
    settings=TlsSettings,
    problems_of_target=lambda target: endpoint_problems(target, 443),
)
