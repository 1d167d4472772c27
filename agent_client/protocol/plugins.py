"""Plug-ins on the wire: which of them an agent is to run, how they are, what they measured.

`GET /api/v1/plugins/agent` answers a `PluginSet`; the states ride in every heartbeat;
`POST /api/v1/plugins/samples` takes a list of `PluginSample`. Moments are UTC seconds
since the epoch. Pure data.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from agent_client.protocol.part import Number, Part

MAX_SAMPLES_PER_REQUEST = 1_000
MAX_VALUES_PER_REQUEST = 20_000
"""Numbers and lines of all samples together."""
MAX_METRICS_PER_SAMPLE = 200
MAX_LINES_PER_SAMPLE = 200
MAX_LINE_CHARACTERS = 2_000

MAX_METRIC_NAME_CHARACTERS = 120
MAX_UNIT_CHARACTERS = 20
MAX_HELP_CHARACTERS = 200

PluginName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}\Z")]
PluginCondition = Literal["starting", "running", "failed", "stopped", "refused"]


class PluginPackage(Part, frozen=True):
    """A signed package: its exact bytes by sha256, and an Ed25519 signature (base64)."""

    version: str
    sha256: str
    signature: str
    size_bytes: Number


class PluginWanted(Part, frozen=True):
    """One plug-in that the agent is to keep active; `package` is None for a built-in one.

    interval_seconds is the time between two collections. config belongs to the plug-in,
    which checks it and says what is wrong with it.
    """

    name: PluginName
    interval_seconds: float = 10.0
    config: dict[str, Any] = {}
    package: PluginPackage | None = None


class PluginSet(Part, frozen=True, omit_defaults=False):
    """Everything one agent is to run. The same revision always means the same content."""

    revision: Number
    plugins: tuple[PluginWanted, ...] = ()


class PluginState(Part, frozen=True):
    """How one plug-in is on its host; detail says why it failed or was refused.

    code is that of the catalogue, "" where only the plug-in's own words say why.
    """

    name: str
    condition: PluginCondition
    version: str = ""
    detail: str = ""
    restarts: Number = 0
    since: float = 0.0
    dropped_samples: Number = 0
    code: str = ""


class MetricAbout(Part, frozen=True):
    """What a metric says of itself; a counter only grows, but may begin anew."""

    unit: Annotated[str, msgspec.Meta(max_length=MAX_UNIT_CHARACTERS)] = ""
    help: Annotated[str, msgspec.Meta(max_length=MAX_HELP_CHARACTERS)] = ""
    kind: Literal["gauge", "counter"] = "gauge"


class PluginSample(Part, frozen=True):
    """One collection of one plug-in: numbers by metric name, or lines of text (log tail).

    `about` names the metrics without [item]. It comes with the first sample of each start
    and once an hour, so that a server that lost it learns it again.
    """

    plugin: PluginName
    at: float
    metrics: dict[str, float] = {}
    lines: tuple[str, ...] = ()
    about: dict[str, MetricAbout] = {}
