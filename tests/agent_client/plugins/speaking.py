"""Talks to a plug-in in this very process, as an agent would."""

from __future__ import annotations

import io
import json
from typing import Any

from agent_client.plugins import sdk


def talk(plugin: sdk.Plugin, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """Return everything a plug-in answers to messages, `ready` first."""
    said = b"".join(json.dumps(one).encode() + b"\n" for one in messages)
    stdout = io.BytesIO()
    sdk.speak(plugin, io.BytesIO(said), stdout)
    return [json.loads(line) for line in stdout.getvalue().splitlines()]


def collected(plugin: sdk.Plugin, config: dict[str, Any] | None = None, **host: Any) -> Any:
    """Return the metrics of one collection; asserts that the plug-in took its configuration."""
    answers = talk(
        plugin,
        {"type": "configure", "config": config or {}, "interval_seconds": 1, **host},
        {"type": "start"},
        {"type": "collect", "id": 7},
        {"type": "stop"},
    )
    assert [one["type"] for one in answers[:2]] == ["ready", "configured"], answers
    assert answers[-1]["id"] == 7
    return answers[-1]["metrics"]


def refusal(plugin: sdk.Plugin, config: dict[str, Any], **host: Any) -> Any:
    """Return the answer to a configuration that is refused."""
    answer = talk(plugin, {"type": "configure", "config": config, **host})[-1]
    assert answer["type"] == "error", answer
    return answer
