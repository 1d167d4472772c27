"""Whether a result is stored, and as what row: pure.

Trusts nothing of it: not its tenant, not its probe, not its clock, not its size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from agent_client.protocol.probes import MAX_DETAILS_BYTES, MAX_ERROR_CHARACTERS, ProbeResult
from tasks.probes.choices import OUTCOME_CODES, Outcome

MAX_AHEAD_SECONDS = 3600.0
"""A clock may be wrong by so much; a result from later would hide all that follow it."""
MAX_PHASES = 32
MAX_COUNT = 1_000_000
MAX_VERSION = 2**31 - 1
US = 1_000_000

_encode = msgspec.json.Encoder().encode


class Judge(NamedTuple):
    """What a result of one agent is held against; moments in seconds."""

    tenant_id: str
    probes: Mapping[int, int]
    now: float
    oldest: float


class Refused(Exception):
    """The result is not stored; code is stable, the sentence is for the agent's log."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.code = code
        self.detail = detail


Row = tuple[int, str, int, int | None, int, int, int, int, int, bool, str, str, str, str, str]
"""The columns of ProbeResult in the order of `rows.COLUMNS`."""


def check(result: ProbeResult, judge: Judge) -> None:
    """Raise Refused when the result must not be stored."""
    if result.tenant_id != judge.tenant_id:
        raise Refused("wrong_tenant", "The result names another tenant.")
    if result.task_id not in judge.probes:
        raise Refused("probe_not_assigned", "The agent does not run this probe.")
    if result.outcome is None and result.success is None:
        raise Refused("no_outcome", "Send outcome, or success as true or false.")
    if not judge.oldest <= result.started_at:
        raise Refused("too_old", "The result is older than results are kept.")
    if result.started_at > judge.now + MAX_AHEAD_SECONDS:
        raise Refused("in_the_future", "The result is from later than now; check the clock.")


def row_of(result: ProbeResult, agent_id: str) -> Row:
    """Return the row of a result that check() let pass; texts are cut to their limits."""
    ended = result.ended_at
    return (
        result.task_id,
        agent_id,
        int(result.started_at * US),
        _ended_us(ended, result.started_at) if ended is not None else None,
        OUTCOME_CODES[outcome_of(result)],
        min(max(result.count, 1), MAX_COUNT),
        int(result.duration_seconds * US),
        int(result.late_seconds * US),
        min(result.version, MAX_VERSION),
        result.saturated,
        _plain(result.reason),
        _plain(result.phase),
        phases_json(result.phases) if result.phases else "",
        _plain(result.error[:MAX_ERROR_CHARACTERS]),
        details_json(result.details) if result.details else "",
    )


def outcome_of(result: ProbeResult) -> str:
    """Return the outcome; a mere success or failure is up or down."""
    if result.outcome is not None:
        return result.outcome
    return Outcome.UP if result.success else Outcome.DOWN


def phases_json(phases: Mapping[str, float]) -> str:
    """Return the phases as JSON; what is no sensible duration is left out."""
    kept = {
        name[:64]: seconds
        for name, seconds in list(phases.items())[:MAX_PHASES]
        if math.isfinite(seconds) and 0 <= seconds < 1e9
    }
    return _text(kept)


def details_json(details: Mapping[str, Any]) -> str:
    """Return the details as JSON; too much of it is replaced by a mark."""
    text = _text(details)
    return text if len(text.encode()) <= MAX_DETAILS_BYTES else '{"truncated":true}'


def _ended_us(ended: float, started: float) -> int:
    """Return the end of a span, which is never before its start nor years after it."""
    return int(min(max(ended, started), started + 366 * 86400) * US)


def _text(value: Any) -> str:
    """Return JSON text that PostgreSQL takes as well: NUL cannot be stored there."""
    return _encode(value).decode().replace("\\u0000", "\\ufffd")


def _plain(text: str) -> str:
    """Return text without NUL."""
    return text.replace("\x00", "\ufffd") if "\x00" in text else text
