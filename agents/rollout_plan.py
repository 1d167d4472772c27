"""The rules of a staged roll-out: how many hosts each stage has, and when the next begins.

Pure: facts in, a verdict out. The same facts give the same verdict however often it is
asked for, so whoever asks may be restarted between any two questions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from math import ceil

from django.utils.translation import gettext as _

MAX_STAGES = 10
DEFAULT_STAGES = ("1", "10%", "100%")
_STAGE = re.compile(r"([1-9][0-9]{0,5})(%?)")
_FULL_PERCENT = 100


class Move(Enum):
    """What is to be done with a roll-out now."""

    WAIT = "wait"
    ADVANCE = "advance"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host that was told to change; the moments are None while they do not apply."""

    name: str
    is_online: bool
    online_since: datetime | None
    runs_it: bool
    running_since: datetime | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and why in a sentence when it is to halt."""

    move: Move
    reason: str = ""


def stage_ends(stages: Sequence[str], hosts: int) -> list[int]:
    """Return how many hosts are done after each stage, all of them after the last.

    A stage is a number of hosts or a share of all, counted from the first: "1", "10%",
    "100%". Stages that add nobody are left out. Raises ValueError for anything else.
    """
    if not 1 <= len(stages) <= MAX_STAGES:
        raise ValueError(_("Write 1 to %(limit)d stages.") % {"limit": MAX_STAGES})
    ends: list[int] = []
    for text in stages:
        match = _STAGE.fullmatch(text.strip())
        if match is None or (match[2] and int(match[1]) > _FULL_PERCENT):
            raise ValueError(
                _("“%(text)s” is no stage; write for example 1, 10%% or 100%%.")
                % {"text": text[:20]}
            )
        count = ceil(hosts * int(match[1]) / _FULL_PERCENT) if match[2] else int(match[1])
        count = min(count, hosts)
        if count > (ends[-1] if ends else 0):
            ends.append(count)
    if ends and ends[-1] < hosts:
        # A roll-out that leaves hosts out would never be complete.
        ends.append(hosts)
    return ends


def judge(
    hosts: Sequence[HostFacts],
    *,
    now: datetime,
    began_at: datetime,
    soak_seconds: float,
    patience_seconds: float,
) -> Verdict:
    """Return what follows from the hosts of the present stage and of those before it."""
    failed = next((one for one in hosts if one.failure), None)
    if failed is not None:
        return Verdict(Move.HALT, f"{failed.name}: {failed.failure}")
    soak = timedelta(seconds=soak_seconds)
    waiting = [one for one in hosts if not _is_healthy(one, now - soak)]
    if not waiting:
        return Verdict(Move.ADVANCE)
    if now - began_at <= timedelta(seconds=patience_seconds) + soak:
        return Verdict(Move.WAIT)
    return Verdict(Move.HALT, f"{waiting[0].name}: {_lack(waiting[0])}")


def _is_healthy(host: HostFacts, since: datetime) -> bool:
    """Return whether a host has been online with the version since that moment at least."""
    if not (host.is_online and host.runs_it and host.running_since and host.online_since):
        return False
    return max(host.running_since, host.online_since) <= since


def _lack(host: HostFacts) -> str:
    """Return what a host lacks, in a sentence."""
    if not host.is_online:
        return "It is offline."
    if not host.runs_it:
        return "It did not change to the version in time."
    return "It did not stay online for long enough."
