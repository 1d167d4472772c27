"""Targets that report themselves: a report is a result, silence makes one as well.

Reports enter the same log as results of hosts, without an agent. A report that stays out
for interval + grace is a failed run of its own, at most one per interval; so thresholds,
roll-ups and incidents need no special case.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils.translation import gettext as _

from agents import database_clock
from dialer_platform.errors import NotFound
from dialer_platform.storage import write_transaction
from tasks.probes import kinds
from tasks.probes.choices import OUTCOME_CODES, PUSH_KIND, Outcome
from tasks.probes.ingest import rows
from tasks.probes.ingest.judging import US, Row
from tasks.probes.models import Probe
from tasks.probes.services.probes import push_digest

MAX_ERROR_CHARACTERS = 1_000
MAX_MILLISECONDS = 1e12
STATUS_WORDS = {
    "": Outcome.UP,
    "up": Outcome.UP,
    "degraded": Outcome.DEGRADED,
    "down": Outcome.DOWN,
}


def report(token: str, *, status: str = "", message: str = "", ping: float = 0.0) -> Probe:
    """Store a report; ping in milliseconds. Raises NotFound for an unknown token.

    At most one a second counts: more say nothing more.
    """
    probe = Probe.objects.filter(
        push_token_sha256=push_digest(token), kind=PUSH_KIND, enabled=True
    ).first()
    if probe is None:
        raise NotFound(_("There is no such probe."))
    now = database_clock.now()
    with write_transaction():
        fresh = Probe.objects.filter(pk=probe.pk).exclude(pushed_at__gt=now - timedelta(seconds=1))
        if not fresh.update(pushed_at=now):
            return probe
    outcome = STATUS_WORDS.get(status.lower(), Outcome.DOWN)
    reason = "" if outcome == Outcome.UP else "reported"
    duration_us = int(min(max(ping, 0.0), MAX_MILLISECONDS) * 1_000)
    _append([_row(probe, outcome, reason, message, now.timestamp(), duration_us)])
    return probe


def judge_silence() -> int:
    """Store a failed run for every target whose report is overdue; a housekeeping job."""
    now = database_clock.now()
    silent = [
        probe
        for probe in Probe.objects.filter(kind=PUSH_KIND, enabled=True).order_by("id")
        if _is_overdue(probe, now.timestamp())
    ]
    if not silent:
        return 0
    with write_transaction():
        # The silence counts from now on again: one failed run per interval, not per round.
        ids = [probe.pk for probe in silent]
        Probe.objects.filter(pk__in=ids).update(silence_judged_at=now)
    sentence = "no report for longer than the interval"
    _append([_row(one, Outcome.DOWN, "silence", sentence, now.timestamp(), 0) for one in silent])
    return len(silent)


def _is_overdue(probe: Probe, now: float) -> bool:
    """Return whether the next report, or the next judgement of its absence, is due."""
    spoke = (probe.pushed_at or probe.state_since or probe.created_time).timestamp()
    grace = kinds.grace_seconds(probe.config)
    if now < spoke + probe.interval + grace:
        return False
    judged = probe.silence_judged_at
    return (
        judged is None or judged.timestamp() < spoke or now >= judged.timestamp() + probe.interval
    )


def _append(new: list[Row]) -> None:
    """Append results to the log in a transaction of its own."""
    with write_transaction(settings.SERIES_DATABASE):
        rows.lock_log()
        rows.append(new)


def _row(probe: Probe, outcome: str, reason: str, message: str, at: float, duration_us: int) -> Row:
    """Return the row of a report or of its absence."""
    error = "" if outcome == Outcome.UP else message[:MAX_ERROR_CHARACTERS].replace("\x00", "")
    started = int(at * US)
    code = OUTCOME_CODES[outcome]
    return (
        *(probe.pk or 0, "", started, None, code, 1, duration_us, 0, probe.version),
        *(False, reason, "", "", error, ""),
    )
