"""The outbox: what is to be sent is written here first, in the transaction that found it.

Promises: at least once, in order of due time, one sender per delivery; tries with growing
pauses, then gives up visibly; at most MAX_WAITING per tenant, the oldest is dropped with a
trace; notices of one rule and channel that come within its window leave together.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from dialer_platform.console import live
from dialer_platform.storage import write_transaction
from tasks.alerts.choices import DeliveryState
from tasks.alerts.message import Message, Notice
from tasks.alerts.models import Channel, Delivery, Rule
from tasks.alerts.sending import Undelivered, send

logger = logging.getLogger(__name__)

TOPIC = "alerts"
MAX_WAITING = 1_000
MAX_NOTICES = 50
MAX_ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 15
LONGEST_PAUSE_SECONDS = 3_600
STALE_SENDING_SECONDS = 120
"""A claim this old was left by a process that died; one attempt takes far less."""
BATCH = 20


def put(rule: Rule, channel: Channel, notices: Sequence[Notice], now: datetime) -> Delivery:
    """Add notices to what already waits for this rule and channel, or start a delivery.

    Call it inside the transaction that records the alerts themselves.
    """
    waiting = _open_group(rule, channel, now)
    if waiting is None:
        _make_room(rule.tenant_id)
        waiting = Delivery(
            tenant_id=rule.tenant_id,
            channel=channel,
            rule=rule,
            language=rule.language,
            created_at=now,
            due_at=now + timedelta(seconds=rule.group_seconds),
        )
    room = MAX_NOTICES - len(waiting.notices)
    waiting.notices = [*waiting.notices, *notices[:room]]
    waiting.omitted += max(0, len(notices) - room)
    waiting.save()
    return waiting


def _open_group(rule: Rule, channel: Channel, now: datetime) -> Delivery | None:
    """Return the delivery that still collects; one that failed before would keep news back."""
    rows = Delivery.objects.waiting().filter(rule=rule, channel=channel, attempts=0)
    # What is due this moment may be claimed by the sender before we commit.
    return rows.filter(due_at__gt=now).select_for_update().order_by("id").first()


def put_test(channel: Channel, notice: Notice, *, language: str, now: datetime) -> Delivery:
    """Write a test message, due at once."""
    _make_room(channel.tenant_id)
    return Delivery.objects.create(
        tenant_id=channel.tenant_id,
        channel=channel,
        notices=[notice],
        language=language,
        created_at=now,
        due_at=now,
    )


def _make_room(tenant_id: str) -> None:
    """Drop the oldest of a tenant's waiting deliveries when there are too many."""
    rows = Delivery.objects.of_tenant(tenant_id).waiting().order_by("id")  # type: ignore[attr-defined]
    surplus = rows.count() - MAX_WAITING + 1
    if surplus > 0:
        oldest = list(rows.values_list("id", flat=True)[:surplus])
        Delivery.objects.filter(id__in=oldest).update(state=DeliveryState.DROPPED)
        logger.warning("alerts dropped", extra={"data": {"tenant": tenant_id, "count": surplus}})


def send_due(now: datetime) -> int:
    """Send what is due; returns how many were tried. Never raises for a single delivery."""
    due = list(Delivery.objects.due(now).select_related("channel", "rule")[:BATCH])
    claimed = [delivery for delivery in due if _claim(delivery, now)]
    for delivery in claimed:
        _try(delivery, now)
    return len(claimed)


def release_stale(now: datetime) -> int:
    """Give deliveries back whose sender died; they are sent again."""
    limit = now - timedelta(seconds=STALE_SENDING_SECONDS)
    stale = Delivery.objects.filter(state=DeliveryState.SENDING, claimed_at__lt=limit)
    with write_transaction():
        return stale.update(state=DeliveryState.PENDING)


def retry(delivery: Delivery, now: datetime) -> None:
    """Try a failed delivery once more from the beginning."""
    with write_transaction():
        Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.FAILED).update(
            state=DeliveryState.PENDING, attempts=0, due_at=now, ended_at=None
        )
    live.publish(TOPIC, tenant_id=delivery.tenant_id)


def _claim(delivery: Delivery, now: datetime) -> bool:
    """Take a delivery for this sender alone, with the notices it has by now."""
    with write_transaction():
        mine = Delivery.objects.waiting().filter(pk=delivery.pk)
        if not mine.update(state=DeliveryState.SENDING, claimed_at=now):
            return False
        delivery.refresh_from_db(fields=["state", "notices", "omitted", "attempts"])
    return True


def _try(delivery: Delivery, now: datetime) -> None:
    """Send once and write down how it went."""
    delivery.attempts += 1
    try:
        with translation.override(delivery.language):
            if not delivery.channel.is_enabled:
                raise Undelivered(_("The channel is switched off."), is_terminal=True)
            send(delivery.channel, message_of(delivery))
    except Undelivered as error:
        _note_failure(delivery, error, now)
    except Exception as error:  # A fault of ours must neither stop the others nor repeat for ever.
        logger.exception("delivery failed", extra={"data": {"delivery": delivery.pk}})
        _note_failure(delivery, Undelivered(type(error).__name__), now)
    else:
        delivery.state, delivery.error, delivery.ended_at = DeliveryState.DELIVERED, "", now
    with write_transaction():
        delivery.save(update_fields=["state", "error", "ended_at", "attempts", "due_at"])
    live.publish(TOPIC, tenant_id=delivery.tenant_id)


def _note_failure(delivery: Delivery, error: Undelivered, now: datetime) -> None:
    """Decide between another try and giving up."""
    delivery.error = error.detail[:500]
    if error.is_terminal or delivery.attempts >= MAX_ATTEMPTS:
        delivery.state, delivery.ended_at = DeliveryState.FAILED, now
        return
    pause = max(pause_seconds(delivery.attempts, random.random()), error.pause_seconds)  # noqa: S311
    delivery.state = DeliveryState.PENDING
    delivery.due_at = now + timedelta(seconds=pause)


def pause_seconds(attempts: int, dice: float) -> float:
    """Return the pause after so many attempts: doubling, with a quarter of jitter."""
    whole = min(FIRST_PAUSE_SECONDS * 2.0 ** (attempts - 1), LONGEST_PAUSE_SECONDS)
    return whole * (0.75 + dice / 4)


def message_of(delivery: Delivery) -> Message:
    """Return what a delivery says."""
    return Message(
        delivery_id=delivery.pk,
        tenant_id=delivery.tenant_id,
        rule=delivery.rule.name if delivery.rule else "",
        notices=delivery.notices,
        omitted=delivery.omitted,
        public_url=settings.PUBLIC_URL,
    )
