"""Filters of templates, shared by REST and page."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet

from templates_app.models import Template
from templates_app.models.template import ScriptType


class TemplateFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Templates by part of the name, by language, by words anywhere."""

    name = django_filters.CharFilter(lookup_expr="icontains")
    script_type = django_filters.ChoiceFilter(choices=ScriptType.choices)
    q = django_filters.CharFilter(method="search", label="words")

    class Meta:
        model = Template
        fields = ("name", "script_type")

    def search(self, queryset: QuerySet[Template], _name: str, value: str) -> QuerySet[Template]:
        """Keep the templates that contain the words."""
        return queryset.filter(pk__in=Template.objects.matching(value).values("pk"))
