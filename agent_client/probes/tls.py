"""tls: a full handshake, and how long every certificate of the chain still lasts."""

from __future__ import annotations

from agent_client.probes.certificates import client_context
from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed
from agent_client.probes.kind import Kind
from agent_client.protocol.probe_kinds.endpoints import split_endpoint
from agent_client.protocol.probe_kinds.tls import TlsSettings


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: TlsSettings = talk.run.config
    host, port = split_endpoint(talk.run.target, 443)
    yield from talk.connect(host, port)
    context = client_context(settings.verify_tls, settings.tls_min_version)
    yield from talk.secure(context, settings.server_name or host)
    days = talk.details["certificates"][0]["days_left"]
    if days < settings.certificate_down_days:
        raise CheckFailed(f"a certificate ends in {days} days", "cert_expired")


KIND = Kind("tls", TlsSettings, steps=_talk)
