"""websocket: open a WebSocket; send a text and expect one if wanted."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.endpoints import url_problems
from agent_client.protocol.probe_kinds.secure import SecureSettings
from agent_client.protocol.probe_kinds.shape import KindSpec, Problems


class WebsocketSettings(SecureSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """expect is looked for in the first text or binary message."""

    origin: Annotated[
        str,
        msgspec.Meta(title="Origin", description="Sent as the Origin header.", max_length=300),
    ] = ""
    send: Annotated[
        str,
        msgspec.Meta(title="Send", description="One text message.", max_length=16_000),
    ] = ""
    expect: Annotated[
        str,
        msgspec.Meta(
            title="Expect", description="Must occur in the first message.", max_length=4_096
        ),
    ] = ""


def problems(settings: WebsocketSettings) -> Problems:
    """Return what is wrong with settings beyond their types."""
    if settings.origin and not (settings.origin.isascii() and settings.origin.isprintable()):
        return {"origin": ["Write an address like https://example.com."]}
    return {}


SPEC = KindSpec(
    name="websocket",
    title="WebSocket",
    summary="Opens a WebSocket and, if wanted, exchanges a message.",
    target_help="a URL like wss://example.com/live",
    settings=WebsocketSettings,
    problems_of_target=lambda target: url_problems(target, ("ws", "wss")),
    problems_of_settings=problems,
)
