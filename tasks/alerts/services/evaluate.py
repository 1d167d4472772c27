"""Compares what is wrong with what was told, and writes what is to be told.

Runs as a periodic job of the process that holds the housekeeping lease. One transaction
per rule holds the alerts and their deliveries together.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import transaction
from django.utils import timezone, translation

from dialer_platform.console import live
from dialer_platform.storage import write_transaction
from tasks.alerts.choices import NoticeKind
from tasks.alerts.decision import Decision, Known, Wanted, decide
from tasks.alerts.models import Alert, Channel, Rule
from tasks.alerts.problems import Problem, problems_of
from tasks.alerts.services import outbox


def evaluate(now: datetime | None = None) -> int:
    """Judge every rule of every tenant; returns how many notices were written."""
    now = now or timezone.now()
    rules = Rule.objects.watching().order_by("tenant_id", "language", "id")
    written = 0
    # Problems are worded in the reader's language, so they are read once for each.
    for (tenant_id, language), group in groupby(
        rules, lambda rule: (rule.tenant_id, rule.language)
    ):
        with translation.override(language):
            problems = problems_of(tenant_id, now)
            written += sum(_evaluate_rule(rule, problems, now) for rule in group)
    return written


def _evaluate_rule(rule: Rule, problems: list[Problem], now: datetime) -> int:
    """Judge one rule; costs no write while nothing changes."""
    known = _known(rule, problems)
    decision = decide(wanted_by(rule), problems, known.values(), now)
    if not (decision.fire or decision.remind or decision.recover):
        return 0
    with write_transaction():
        notices = _record(rule, decision, now)
        channels = list(Channel.objects.filter(rules=rule, is_enabled=True).order_by("id"))
        for channel in channels if notices else ():
            outbox.put(rule, channel, notices, now)
        tenant_id = rule.tenant_id
        transaction.on_commit(lambda: live.publish(outbox.TOPIC, tenant_id=tenant_id))
    return len(notices)


def wanted_by(rule: Rule) -> Wanted:
    """Return what a rule watches, as the decision takes it."""
    return Wanted(
        events=frozenset(rule.events),
        name_contains=rule.name_contains,
        labels=rule.labels,
        min_duration=timedelta(seconds=rule.min_duration_seconds),
        renotify=timedelta(seconds=rule.renotify_seconds),
        certificate_days=rule.certificate_days,
    )


def _known(rule: Rule, problems: list[Problem]) -> dict[str, Known]:
    """Return what the rule has told: its open alerts, and momentary ones still in sight."""
    momentary = [problem.key for problem in problems if problem.is_momentary]
    rows = [*rule.alerts.filter(closed_at=None, is_momentary=False)]
    if momentary:
        rows += rule.alerts.filter(is_momentary=True, key__in=momentary)
    return {row.key: Known(row.key, row.told_at, is_open=not row.is_momentary) for row in rows}


def _record(rule: Rule, decision: Decision, now: datetime) -> list[dict[str, Any]]:
    """Write the alerts down; returns the notices to send."""
    fresh = Alert.objects.bulk_create(
        [_alert(rule, problem, now) for problem in decision.fire], ignore_conflicts=True
    )
    notices = [notice(NoticeKind.FIRED, problem, now) for problem in decision.fire[: len(fresh)]]
    open_alerts = rule.alerts.filter(closed_at=None)
    reminded = {problem.key for problem in decision.remind}
    open_alerts.filter(key__in=reminded).update(told_at=now)
    notices += [notice(NoticeKind.REMINDER, problem, now) for problem in decision.remind]
    ended = list(open_alerts.filter(key__in=decision.recover))
    rule.alerts.filter(pk__in=[row.pk for row in ended]).update(closed_at=now)
    if rule.tells_recovery:
        notices += [_recovery(row, now) for row in ended]
    return notices


def _alert(rule: Rule, problem: Problem, now: datetime) -> Alert:
    """Return the record of a problem that fires; a momentary one has ended already."""
    return Alert(
        tenant_id=rule.tenant_id,
        rule=rule,
        key=problem.key,
        event=problem.event,
        title=problem.title[:300],
        url=problem.url,
        since=problem.since,
        opened_at=now,
        closed_at=now if problem.is_momentary else None,
        told_at=now,
        is_momentary=problem.is_momentary,
    )


def notice(kind: str, problem: Problem, now: datetime) -> dict[str, Any]:
    """Return what is said about a problem."""
    return {
        "kind": str(kind),
        "event": str(problem.event),
        "key": problem.key,
        "name": problem.name,
        "title": problem.title[:300],
        "text": problem.text[:1000],
        "url": problem.url,
        "labels": dict(problem.labels),
        "since": problem.since.isoformat(),
        "at": now.isoformat(),
    }


def _recovery(alert: Alert, now: datetime) -> dict[str, Any]:
    """Return what is said when a problem has ended."""
    return {
        "kind": str(NoticeKind.RECOVERED),
        "event": alert.event,
        "key": alert.key,
        "title": alert.title,
        "text": "",
        "url": alert.url,
        "since": alert.since.isoformat(),
        "at": now.isoformat(),
    }
