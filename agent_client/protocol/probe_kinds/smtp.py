"""smtp: greeting, EHLO and, if wanted, STARTTLS of a mail server."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import endpoint_problems
from agent_client.protocol.probe_kinds.secure import SecureSettings
from agent_client.protocol.probe_kinds.shape import KindSpec, Problems


class SmtpSettings(SecureSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No mail is sent."""

    starttls: Annotated[
        bool, msgspec.Meta(title="STARTTLS", description="Must be offered and must work.")
    ] = False
    tls: Annotated[
        bool, msgspec.Meta(title="TLS", description="Encrypt from the start, as on port 465.")
    ] = False


def problems(settings: SmtpSettings) -> Problems:
    """Return what is wrong with settings that exclude each other."""
    if settings.tls and settings.starttls:
        return {"starttls": ["Use tls or starttls, not both."]}
    return {}


SPEC = KindSpec(
    name="smtp",
    title="SMTP",
    summary="Greets a mail server; sends no mail.",
    target_help="a host, or host and port, like mail.example.com:25",
    settings=SmtpSettings,
    problems_of_target=lambda target: endpoint_problems(target, 25),
    problems_of_settings=problems,
)
