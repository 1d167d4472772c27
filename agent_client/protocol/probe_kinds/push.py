"""push: nobody is asked; something reports by itself, and silence is the failure."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.shape import KindSpec


class PushSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server judges: silent for the probe's interval and this long, then down."""

    grace_seconds: Annotated[
        float,
        msgspec.Meta(
            title="Grace (s)",
            description="Silence beyond the interval that is forgiven.",
            ge=0,
            le=2_592_000,
        ),
    ] = 60.0


SPEC = KindSpec(
    name="push",
    title="Push",
    summary="Waits for reports; silence is the failure.",
    target_help="any note of what reports, like nightly backup",
    settings=PushSettings,
    problems_of_target=lambda _: [],
    on_agent=False,
)
