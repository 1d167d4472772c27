"""What agent and plug-in say to each other: one JSON object per line, checked when it arrives.

The plug-in's side of it is in sdk.py. What a plug-in sends is a stranger's text: sizes,
names and numbers are bounded here, and what is too much is cut and counted. Pure.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from agent_client.protocol.plugins import (
    MAX_HELP_CHARACTERS,
    MAX_LINE_CHARACTERS,
    MAX_LINES_PER_SAMPLE,
    MAX_METRIC_NAME_CHARACTERS,
    MAX_METRICS_PER_SAMPLE,
    MAX_UNIT_CHARACTERS,
    MetricAbout,
    PluginWanted,
)

MAX_MESSAGE_BYTES = 64 * 1024
"""Of one line from a plug-in; the configuration may be as long in the other direction."""
MAX_VALUE = 1e30
"""Sums of values so large are still finite."""
MAX_DETAIL_CHARACTERS = 500


class WireError(Exception):
    """The plug-in said something that is no message; the text says what was expected."""


class Ready(msgspec.Struct, frozen=True, tag="ready", tag_field="type"):
    """The first message: what the plug-in is; metrics maps names to unit, help and kind."""

    name: str
    version: str = ""
    metrics: dict[str, dict[str, str]] = {}


class Configured(msgspec.Struct, frozen=True, tag="configured", tag_field="type"):
    """The configuration is in use."""


class ConfigError(msgspec.Struct, frozen=True, tag="error", tag_field="type"):
    """The configuration is not in use; field names what to change."""

    field: str = ""
    detail: str = ""

    def sentence(self) -> str:
        """Return both parts as a person reads them."""
        return cut(f"{self.field}: {self.detail}" if self.field else self.detail)


class Measured(msgspec.Struct, frozen=True, tag="sample", tag_field="type"):
    """A measurement in answer to a collect of that id; more = another part follows."""

    id: int
    metrics: dict[str, float] = {}
    lines: list[str] = []
    more: bool = False


class Log(msgspec.Struct, frozen=True, tag="log", tag_field="type"):
    """A line for the agent's log."""

    level: str = "info"
    text: str = ""


PluginMessage = Ready | Configured | ConfigError | Measured | Log
_decoder: msgspec.json.Decoder[PluginMessage] = msgspec.json.Decoder(PluginMessage)


def decode(line: bytes) -> PluginMessage:
    """Return one line of a plug-in as a message; raises WireError."""
    try:
        # One decoder for all kinds: it validates while it reads and makes nothing else.
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"it wrote a line that is no message: {cut(str(error))}") from error


def configure(
    wanted: PluginWanted,
    *,
    state_directory: str,
    directories: tuple[str, ...],
    hidden: tuple[str, ...],
) -> bytes:
    """Return the line that hands over a configuration."""
    return encode(
        "configure",
        config=wanted.config,
        interval_seconds=wanted.interval_seconds,
        state_directory=state_directory,
        directories=directories,
        hidden=hidden,
    )


def encode(kind: str, **fields: Any) -> bytes:
    """Return one message of the agent as a line."""
    return msgspec.json.encode({"type": kind, **fields}) + b"\n"


def described(ready: Ready) -> dict[str, MetricAbout]:
    """Return what a plug-in says of its metrics, as far as it may be long; "" for the rest."""
    return {
        name: MetricAbout(
            unit=_plain(about.get("unit", ""))[:MAX_UNIT_CHARACTERS],
            help=_plain(about.get("help", ""))[:MAX_HELP_CHARACTERS],
            kind="counter" if about.get("kind") == "counter" else "gauge",
        )
        for name, about in list(ready.metrics.items())[:MAX_METRICS_PER_SAMPLE]
        if _is_name(name)
    }


def bounded(measured: Measured) -> tuple[dict[str, float], tuple[str, ...], int]:
    """Return the metrics and lines that may go on, and how many of them may not."""
    metrics = {
        name: value
        for name, value in measured.metrics.items()
        if _is_name(name) and math.isfinite(value) and abs(value) <= MAX_VALUE
    }
    # The first ones: a plug-in lists what matters first, and order is kept.
    kept = dict(list(metrics.items())[:MAX_METRICS_PER_SAMPLE])
    lines = tuple(
        _plain(line[:MAX_LINE_CHARACTERS]) for line in measured.lines[:MAX_LINES_PER_SAMPLE]
    )
    refused = len(measured.metrics) - len(kept) + len(measured.lines) - len(lines)
    return kept, lines, refused


def cut(text: str) -> str:
    """Return a detail as long as a state may carry."""
    return text[:MAX_DETAIL_CHARACTERS]


def _is_name(name: str) -> bool:
    """Return whether it can be the name of a metric."""
    return 0 < len(name) <= MAX_METRIC_NAME_CHARACTERS and name.isprintable()


def _plain(text: str) -> str:
    """Return a text without NUL, which no database stores."""
    return text.replace("\0", "\ufffd")
