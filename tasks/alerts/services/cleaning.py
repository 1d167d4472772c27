"""Deletes ended alerts and deliveries of the past, a bounded number at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from dialer_platform.storage import write_transaction
from tasks.alerts.choices import DeliveryState
from tasks.alerts.models import Alert, Delivery

KEPT = timedelta(days=30)
ROWS_AT_ONCE = 1_000


def clean(now: datetime | None = None) -> int:
    """Delete what ended more than 30 days ago; returns how many rows."""
    limit = (now or timezone.now()) - KEPT
    open_states = (DeliveryState.PENDING, DeliveryState.SENDING)
    deliveries = Delivery.objects.filter(created_at__lt=limit).exclude(state__in=open_states)
    return _delete(Alert.objects.filter(closed_at__lt=limit)) + _delete(deliveries)


def _delete(rows: QuerySet[Alert] | QuerySet[Delivery]) -> int:
    """Delete in short transactions, so that no writer waits long."""
    count = 0
    while ids := list(rows.order_by("id").values_list("id", flat=True)[:ROWS_AT_ONCE]):
        with write_transaction():
            count += rows.model._default_manager.filter(id__in=ids).delete()[0]
    return count
