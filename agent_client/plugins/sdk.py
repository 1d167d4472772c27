"""Everything a plug-in in Python needs: subclass Plugin, call run(). Copy this one file.

Standard library only, Python 3.10 or newer. The agent writes one JSON object per line to
the plug-in's standard input and reads one per line from its standard output; this file
does both, so that a plug-in only says what it measures. What is printed goes to standard
error, of which the agent shows the end when the plug-in fails.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple

MAX_LINE_BYTES = 64 * 1024
"""What the agent reads as one message; a longer one ends the plug-in."""


class ConfigRefused(Exception):
    """The configuration cannot be used: which field, and what a person should change."""

    def __init__(self, field: str, detail: str) -> None:
        """Name the field, "" for the whole."""
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class Sample(NamedTuple):
    """One measurement: numbers by metric name, and lines of text."""

    metrics: Mapping[str, float] = {}
    lines: tuple[str, ...] = ()


class Context(NamedTuple):
    """What the host allows and gives; the same for every configuration of one run."""

    interval_seconds: float = 10.0
    state_directory: str = ""
    """Exists, belongs to this plug-in, and is there again after a restart."""
    directories: tuple[str, ...] = ()
    """Files elsewhere must not be read: the host's owner decided so."""
    hidden: tuple[str, ...] = ()
    """Nor files below these, which hold credentials."""


Measured = Mapping[str, float] | Sample | Iterable[Sample]


def gauge(unit: str, help: str) -> Mapping[str, str]:
    """Return what a metric says about itself: a value that rises and falls."""
    return {"unit": unit, "help": help, "kind": "gauge"}


def counter(unit: str, help: str) -> Mapping[str, str]:
    """Return the same of a value that only grows, and may begin anew."""
    return {"unit": unit, "help": help, "kind": "counter"}


class Plugin:
    """Override what is needed; collect() is the only must."""

    name = ""
    version = "1"
    metrics: Mapping[str, Mapping[str, str]] = {}
    """unit, help and kind (gauge or counter) by the name of the metric without [item]."""
    context = Context()

    def configure(self, config: dict[str, Any]) -> None:
        """Take a configuration, also while running; raise ConfigRefused to refuse it."""

    def start(self) -> None:
        """Begin; called once, after the first configuration."""

    def collect(self) -> Measured:
        """Return the measurement of this moment."""
        raise NotImplementedError

    def stop(self) -> None:
        """End; the process goes away directly afterwards."""


def run(plugin: Plugin) -> None:
    """Serve the agent until it says stop or is gone."""
    # A stray print() must not look like a message.
    wire = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    speak(plugin, sys.stdin.buffer, wire)


def speak(plugin: Plugin, stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Do what `run` does, on given streams: for tests of plug-ins."""
    _send(
        stdout,
        {
            "type": "ready",
            "name": plugin.name,
            "version": plugin.version,
            "metrics": {name: dict(about) for name, about in plugin.metrics.items()},
        },
    )
    # The end of input is the end of the agent: nobody is left to measure for.
    for line in iter(stdin.readline, b""):
        if not _answer(plugin, json.loads(line), stdout):
            break
    plugin.stop()


def log(stdout: BinaryIO, level: str, text: str) -> None:
    """Leave a line in the agent's log."""
    _send(stdout, {"type": "log", "level": level, "text": text[:1000]})


def _answer(plugin: Plugin, message: dict[str, Any], stdout: BinaryIO) -> bool:
    """Act on one message of the agent; False when it was the last."""
    kind = message.get("type")
    if kind == "configure":
        _send(stdout, _configured(plugin, message))
    elif kind == "start":
        plugin.start()
    elif kind == "collect":
        _send_samples(stdout, message.get("id"), plugin.collect())
    # A message of a later version is none of our business.
    return kind != "stop"


def _configured(plugin: Plugin, message: dict[str, Any]) -> dict[str, Any]:
    """Hand a configuration over and return the answer."""
    # Before configure(), which may want to check paths against it.
    plugin.context = Context(
        interval_seconds=float(message.get("interval_seconds", 10.0)),
        state_directory=str(message.get("state_directory", "")),
        directories=tuple(message.get("directories", ())),
        hidden=tuple(message.get("hidden", ())),
    )
    try:
        plugin.configure(message.get("config") or {})
    except ConfigRefused as refused:
        return {"type": "error", "field": refused.field, "detail": refused.detail}
    return {"type": "configured"}


def _send_samples(stdout: BinaryIO, number: Any, measured: Measured) -> None:
    """Send a measurement; all parts but the last say that more follow."""
    if isinstance(measured, Mapping):
        measured = Sample(measured)
    parts = [measured] if isinstance(measured, Sample) else list(measured)
    # Every question gets an answer, also when there is nothing to tell.
    parts = parts or [Sample()]
    for index, part in enumerate(parts):
        # JSON has no word for what is not finite.
        metrics = {name: value for name, value in part.metrics.items() if math.isfinite(value)}
        message = {"type": "sample", "id": number, "metrics": metrics, "lines": list(part.lines)}
        if index + 1 < len(parts):
            message["more"] = True
        _send(stdout, message)


def _send(stdout: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write one message as a whole."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    # One write for the whole line: it arrives in one piece or not at all.
    stdout.write(text.encode("utf-8", "replace") + b"\n")
    stdout.flush()
