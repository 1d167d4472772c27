"""Filters of probes, shared by the API and the list page; they combine."""

from __future__ import annotations

import django_filters
from django.db.models import Q, QuerySet

from tasks.filters import CommaOrRepeatWidget
from tasks.probes.choices import State
from tasks.probes.models import Incident, Probe


class ProbeFilter(django_filters.FilterSet):  # type: ignore[misc]  # it has no types
    """`state` (several), kind, name, q (name or target), enabled, tag, agent_id."""

    state = django_filters.MultipleChoiceFilter(
        choices=State.choices, widget=CommaOrRepeatWidget, help_text="one or several, by comma"
    )
    kind = django_filters.CharFilter(lookup_expr="iexact")
    name = django_filters.CharFilter(lookup_expr="icontains", help_text="part of the name")
    q = django_filters.CharFilter(method="search", help_text="part of the name or the target")
    enabled = django_filters.BooleanFilter()
    agent_id = django_filters.CharFilter(method="seen_from", help_text="a host that has run it")

    class Meta:
        model = Probe
        fields: list[str] = []

    def search(self, queryset: QuerySet[Probe], name: str, value: str) -> QuerySet[Probe]:
        """Keep the probes whose name or target holds the text."""
        return queryset.filter(Q(name__icontains=value) | Q(target__icontains=value))

    def seen_from(self, queryset: QuerySet[Probe], name: str, value: str) -> QuerySet[Probe]:
        """Keep the probes of one host."""
        return queryset.filter(locations__agent_id=value)


class IncidentFilter(django_filters.FilterSet):  # type: ignore[misc]  # it has no types
    """`probe`, and `open` for those that have not ended."""

    probe = django_filters.NumberFilter(field_name="probe_id", min_value=1, max_value=2**63 - 1)
    open = django_filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull")

    class Meta:
        model = Incident
        fields: list[str] = []
