"""Filters of tasks and files, shared by the API and the list page; they combine."""

from __future__ import annotations

from datetime import UTC, datetime

import django_filters
from django import forms
from django.db.models import QuerySet
from django_filters.fields import IsoDateTimeField

from tasks.choices import Kind, Status
from tasks.models import StoredFile, Task
from tasks.querysets import TaskQuerySet


class CommaOrRepeatWidget(forms.SelectMultiple):
    """Reads `?status=a&status=b` and `?status=a,b` alike."""

    def value_from_datadict(self, data: object, files: object, name: str) -> list[str]:
        """Return the single values."""
        values = super().value_from_datadict(data, files, name) or []  # type: ignore[arg-type]
        listed = values if isinstance(values, list | tuple) else [values]
        return [part for value in listed for part in str(value).split(",") if part]


class MomentField(IsoDateTimeField):  # type: ignore[misc]  # it has no types
    """Reads a moment that is one in UTC too; the first and last day of all time need not be."""

    def to_python(self, value: object) -> datetime | None:
        """Return the moment; raises ValidationError."""
        moment: datetime | None = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError as error:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error


class MomentFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]  # it has no types
    """Compares a time with a moment."""

    field_class = MomentField


class TaskFilter(django_filters.FilterSet):  # type: ignore[misc]  # it has no types
    """`status` (several), kind, name, template_type, script, agent_id, priority, created_*."""

    status = django_filters.MultipleChoiceFilter(
        choices=Status.choices, widget=CommaOrRepeatWidget, help_text="one or several, by comma"
    )
    kind = django_filters.MultipleChoiceFilter(
        choices=Kind.choices, widget=CommaOrRepeatWidget, help_text="one or several, by comma"
    )
    name = django_filters.CharFilter(lookup_expr="icontains", help_text="part of the name")
    template_type = django_filters.CharFilter(lookup_expr="iexact")
    script = django_filters.CharFilter(
        field_name="script_content", lookup_expr="icontains", help_text="part of the script"
    )
    agent_id = django_filters.CharFilter(
        method="on_agent", help_text="the host it was given to, or is named for"
    )
    priority = django_filters.NumberFilter()
    created_after = MomentFilter(field_name="created_time", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_time", lookup_expr="lt")

    class Meta:
        model = Task
        fields: list[str] = []

    def on_agent(self, queryset: QuerySet[Task], name: str, value: str) -> QuerySet[Task]:
        """Keep the tasks of one host."""
        return queryset.on_agent(value) if isinstance(queryset, TaskQuerySet) else queryset


class StoredFileFilter(django_filters.FilterSet):  # type: ignore[misc]  # it has no types
    """`name`, `sha256`, `size_bytes`, `complete`, `mine`: how an interrupted upload is found."""

    name = django_filters.CharFilter(help_text="the whole name")
    sha256 = django_filters.CharFilter(lookup_expr="iexact", help_text="of the content, in hex")
    size_bytes = django_filters.NumberFilter()
    complete = django_filters.BooleanFilter()
    mine = django_filters.BooleanFilter(
        method="by_owner", help_text="true: those that the caller has made"
    )

    class Meta:
        model = StoredFile
        fields: list[str] = []

    def by_owner(
        self, queryset: QuerySet[StoredFile], name: str, value: bool
    ) -> QuerySet[StoredFile]:
        """Keep the caller's own files, or those of everybody else."""
        own = {"created_by": self.request.user}
        return queryset.filter(**own) if value else queryset.exclude(**own)
