"""script: a shell script on the agent's host; its exit code is the verdict."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent_client.protocol.probe_kinds.shape import KindSpec, Problems


class ScriptSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The script finds the target in $PROBE_TARGET; exit code 0 is up, any other is down."""

    script: Annotated[
        str,
        msgspec.Meta(
            title="Script",
            description="Run by /bin/sh with the target in $PROBE_TARGET; 0 is up.",
            min_length=1,
            max_length=65_536,
            extra_json_schema={"multiline": True},
        ),
    ] = "exit 0"
    degraded_code: Annotated[
        int,
        msgspec.Meta(
            title="Exit code of degraded",
            description="This exit code is degraded instead of down; 0 = none.",
            ge=0,
            le=255,
        ),
    ] = 0


def problems(settings: ScriptSettings) -> Problems:
    """Return what is wrong with a script that no shell could read."""
    return {"script": ["Contains a zero byte: remove it."]} if "\0" in settings.script else {}


SPEC = KindSpec(
    name="script",
    title="Script",
    summary="Runs a shell script on the agent; its exit code is the verdict.",
    target_help="any text; the script finds it in $PROBE_TARGET",
    settings=ScriptSettings,
    problems_of_target=lambda _: [],
    problems_of_settings=problems,
)
