"""Filters of the list of hosts; they combine and live in the query string."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.choices import AgentStatus
from agents.models import Agent


class AgentFilter(django_filters.FilterSet):  # type: ignore[misc]  # the library has no types
    """Hosts by state and name; revoked ones only when asked for."""

    status = django_filters.ChoiceFilter(choices=AgentStatus.choices)
    name = django_filters.CharFilter(lookup_expr="icontains")
    draining = django_filters.BooleanFilter(field_name="is_draining")
    paused = django_filters.BooleanFilter(field_name="is_paused")
    revoked = django_filters.BooleanFilter(method="by_revocation", label=_("revoked"))

    class Meta:
        model = Agent
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[Agent]) -> QuerySet[Agent]:
        """Leave revoked hosts out unless the filter asks for them."""
        if self.form.cleaned_data.get("revoked") is None and not self._is_detail():
            queryset = queryset.filter(revoked_at=None)
        found: QuerySet[Agent] = super().filter_queryset(queryset)
        return found

    def by_revocation(self, queryset: QuerySet[Agent], _name: str, value: bool) -> QuerySet[Agent]:
        """Keep the revoked hosts, or all others."""
        return queryset.filter(revoked_at__isnull=not value)

    def _is_detail(self) -> bool:
        """Return whether one host is asked for by its id, which is found in any state."""
        match = getattr(self.request, "resolver_match", None)
        return bool(match and "pk" in match.kwargs)
