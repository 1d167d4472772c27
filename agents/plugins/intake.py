"""What a host brings of its plug-ins, checked piece by piece: pure.

A sample that is not valid is refused with its place in the list and a reason; the others
count. Hosts say what they like, so every text and number has a bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from agent_client.protocol.plugins import (
    MAX_LINE_CHARACTERS,
    MAX_LINES_PER_SAMPLE,
    MAX_METRIC_NAME_CHARACTERS,
    MAX_METRICS_PER_SAMPLE,
    MAX_SAMPLES_PER_REQUEST,
    MAX_VALUES_PER_REQUEST,
    MetricAbout,
    PluginSample,
)
from dialer_platform.errors import Invalid, TooLarge

MAX_DETAIL_CHARACTERS = 300
MAX_AGE_SECONDS = 24 * 3600.0
"""An agent keeps some hours of samples while the server is away."""
MAX_AHEAD_SECONDS = 300.0
"""A clock may be a little fast; one that is days ahead would outlive every retention."""
MAX_FIGURE = 1e30
"""Sums of so large figures are still finite."""

MAX_SAMPLE_BYTES = 256 * 1024
"""An agent takes 64 KiB from a plug-in as one message."""

_pieces = msgspec.json.Decoder(list[msgspec.Raw])
_one = msgspec.json.Decoder(PluginSample)


class Fault(NamedTuple):
    """What is wrong with a sample."""

    code: str
    detail: str


class Refusal(NamedTuple):
    """One sample that was not taken: its place in the list and why."""

    position: int
    code: str
    detail: str


class Intake(NamedTuple):
    """The samples of one request."""

    samples: list[PluginSample]
    refused: list[Refusal]

    @property
    def values(self) -> int:
        """Return how many numbers and lines were taken."""
        return sum(len(one.metrics) + len(one.lines) for one in self.samples)


def read_samples(body: bytes, *, is_wanted: Callable[[str], bool], now: float) -> Intake:
    """Return the samples of a body and those refused; now in seconds since the epoch.

    Raises Invalid for anything but a list, TooLarge beyond MAX_SAMPLES_PER_REQUEST or
    MAX_VALUES_PER_REQUEST.
    """
    try:
        pieces = _pieces.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Invalid("The body is not a list of samples.", code="malformed") from error
    if len(pieces) > MAX_SAMPLES_PER_REQUEST:
        raise TooLarge(f"At most {MAX_SAMPLES_PER_REQUEST} samples at once.")
    intake = Intake([], [])
    room = MAX_VALUES_PER_REQUEST
    for position, piece in enumerate(pieces):
        try:
            sample = _decoded(piece)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            unreadable = _invalid(str(error)[:MAX_DETAIL_CHARACTERS])
            intake.refused.append(Refusal(position, *unreadable))
            continue
        room -= len(sample.metrics) + len(sample.lines)
        if room < 0:
            raise TooLarge(f"At most {MAX_VALUES_PER_REQUEST} numbers and lines at once.")
        if fault := _fault(sample, is_wanted, now):
            intake.refused.append(Refusal(position, *fault))
        else:
            intake.samples.append(sample)
    return intake


def _decoded(piece: msgspec.Raw) -> PluginSample:
    """Return one sample; raises ValueError for one that is too long to be looked at."""
    size_bytes = len(memoryview(piece))
    if size_bytes > MAX_SAMPLE_BYTES:
        raise ValueError(f"A sample may have at most {MAX_SAMPLE_BYTES} bytes.")
    return _one.decode(piece)


def _fault(sample: PluginSample, is_wanted: Callable[[str], bool], now: float) -> Fault | None:
    """Return what is wrong with a sample, None if nothing is."""
    if not is_wanted(sample.plugin):
        return Fault(code="not_wanted", detail="The plug-in is not active on this host.")
    if not now - MAX_AGE_SECONDS <= sample.at <= now + MAX_AHEAD_SECONDS:
        return Fault(code="bad_time", detail="Too old or in the future; look at the host's clock.")
    if len(sample.metrics) > MAX_METRICS_PER_SAMPLE or len(sample.lines) > MAX_LINES_PER_SAMPLE:
        return _invalid("Too many metrics or lines in one sample.")
    if not all(_is_metric(name, value) for name, value in sample.metrics.items()):
        return _invalid("A metric has no plain name or no finite number.")
    if any(len(line) > MAX_LINE_CHARACTERS or "\0" in line for line in sample.lines):
        return _invalid(f"A line has more than {MAX_LINE_CHARACTERS} characters, or a NUL.")
    if len(sample.about) > MAX_METRICS_PER_SAMPLE or not all(map(_is_about, sample.about.items())):
        return _invalid("What is said about the metrics is too much, or no plain text.")
    return None


def _invalid(detail: str) -> Fault:
    """Return the fault of a sample that has not the right shape."""
    return Fault(code="invalid", detail=detail)


def _is_metric(name: str, value: float) -> bool:
    """Return whether a metric can be stored and shown."""
    return _is_name(name) and math.isfinite(value) and abs(value) <= MAX_FIGURE


def _is_about(entry: tuple[str, MetricAbout]) -> bool:
    """Return whether a metric's description can be stored and shown."""
    name, about = entry
    return _is_name(name) and "\0" not in about.unit + about.help


def _is_name(name: str) -> bool:
    """Return whether it can be the name of a metric."""
    return 0 < len(name) <= MAX_METRIC_NAME_CHARACTERS and name.isprintable()
