"""Filters of alerts and deliveries; they combine.

Related rows are named by number, never chosen from a list: a list would hold the rows of
every tenant, and would tell a number that exists elsewhere from one that does not.
"""

from __future__ import annotations

import django_filters

from tasks.alerts.models import Alert, Delivery

LARGEST_ID = 2**63 - 1
"""A larger number overflows the database's integers instead of finding nothing."""


class AlertFilter(django_filters.FilterSet):  # type: ignore[misc]  # it has no types
    """`rule`, `event`, `key`."""

    rule = django_filters.NumberFilter(field_name="rule_id", max_value=LARGEST_ID)

    class Meta:
        model = Alert
        fields = ("event", "key")


class DeliveryFilter(django_filters.FilterSet):  # type: ignore[misc]  # it has no types
    """`state`, `channel`, `rule`."""

    channel = django_filters.NumberFilter(field_name="channel_id", max_value=LARGEST_ID)
    rule = django_filters.NumberFilter(field_name="rule_id", max_value=LARGEST_ID)

    class Meta:
        model = Delivery
        fields = ("state",)
