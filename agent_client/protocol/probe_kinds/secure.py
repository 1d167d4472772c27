"""Settings of every kind that may speak TLS."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent_client.protocol.probe_kinds.shape import Settings


class SecureSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a certificate is checked; the check is off only where verify_tls says false."""

    verify_tls: Annotated[
        bool,
        msgspec.Meta(
            title="Check the certificate",
            description="Off accepts any certificate and any name in it.",
        ),
    ] = True
    server_name: Annotated[
        str,
        msgspec.Meta(
            title="Server name",
            description="Name asked for and expected in the certificate; empty = the target's.",
            max_length=253,
        ),
    ] = ""
    certificate_warn_days: Annotated[
        int,
        msgspec.Meta(
            title="Certificate warning (days)",
            description="Degraded when a certificate ends sooner; 0 turns it off.",
            ge=0,
            le=3_650,
        ),
    ] = 14
    tls_min_version: Annotated[
        Literal["1.2", "1.3"], msgspec.Meta(title="Oldest TLS version", description="")
    ] = "1.2"
