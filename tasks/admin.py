"""Admin of tasks: everything is read-only, actions call the services, nothing is deleted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from dialer_platform.accounts.admin import badge
from dialer_platform.accounts.models import User
from dialer_platform.accounts.principal import principal_for
from dialer_platform.errors import DomainError
from tasks.choices import TONES, Status
from tasks.models import (
    FileTransfer,
    StoredFile,
    SubmissionKey,
    Task,
    TaskDependency,
    TaskEvent,
)
from tasks.services.cancel import cancel_task
from tasks.services.rerun import rerun_task
from tasks.waiting import reason_sentence


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy only
    """Rows that only services write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are made by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are shown, never edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Records stay."""
        return False


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg]  # generic for mypy only
    """Rows below a task."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are made by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are shown, never edited."""
        return False


class EventInline(ReadOnlyInline):
    """The timeline."""

    model = TaskEvent
    fields = ("at", "kind", "actor", "detail")
    verbose_name_plural = _("timeline")


class DependencyInline(ReadOnlyInline):
    """What the task depends on."""

    model = TaskDependency
    fk_name = "task"
    fields = ("depends_on",)


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    """Tasks with badges, filters and the verbs of the queue."""

    list_display = (
        "id",
        "name",
        "state",
        "phase",
        "priority",
        "template_type",
        "tenant",
        "agent",
        "created_by",
        "created_time",
        "exit_code",
    )
    list_display_links = ("id", "name")
    list_filter = ("status", "phase", "reason", "priority", "script_type", "tenant")
    search_fields = ("=id", "name", "template_type", "script_content")
    list_select_related = ("tenant", "agent", "created_by")
    date_hierarchy = "created_time"
    list_per_page = 50
    show_full_result_count = False
    actions = ("cancel", "rerun")
    inlines = (DependencyInline, EventInline)
    readonly_fields = ("why",)

    @admin.display(description=_("status"), ordering="status")
    def state(self, task: Task) -> SafeString:
        """Return the status as a badge with a word and a tone."""
        status = Status(task.status)
        return badge(TONES[status], status.label)

    @admin.display(description=_("why"))
    def why(self, task: Task) -> str:
        """Return what the task waits for or why it ended."""
        return reason_sentence(task)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        """Leave the scripts out of the list."""
        found = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and match.url_name == "tasks_task_changelist"
        return found.defer("script_content") if is_list else found

    @admin.action(description=_("Cancel"))
    def cancel(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """Cancel the chosen tasks and report those that had ended."""
        done = 0
        for task in queryset:
            try:
                cancel_task(task, by=request.user.get_username())
                done += 1
            except DomainError as error:
                self.message_user(request, f"{task}: {error.detail}", messages.WARNING)
        self._report(request, done)

    @admin.action(description=_("Run again"))
    def rerun(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """Submit the chosen tasks again, each in its own tenant."""
        done = 0
        for task in queryset:
            try:
                self._rerun(request, task)
                done += 1
            except DomainError as error:
                self.message_user(request, f"{task}: {error.detail}", messages.WARNING)
        self._report(request, done)

    def _rerun(self, request: HttpRequest, task: Task) -> None:
        """Submit one task again as the signed-in person."""
        user = request.user
        principal = (
            principal_for(user, tenant_id=task.tenant_id) if isinstance(user, User) else None
        )
        if principal is not None:
            rerun_task(task, by=principal)

    def _report(self, request: HttpRequest, count: int) -> None:
        """Say how many tasks the action reached."""
        sentence = ngettext("%(count)d task.", "%(count)d tasks.", count)
        self.message_user(request, sentence % {"count": count}, messages.SUCCESS)


@admin.register(TaskEvent)
class TaskEventAdmin(ReadOnlyAdmin):
    """The timelines of all tasks."""

    list_display = ("at", "task", "kind", "actor")
    list_filter = ("kind",)
    search_fields = ("=task__id", "actor")
    list_select_related = ("task",)
    show_full_result_count = False


@admin.register(TaskDependency)
class TaskDependencyAdmin(ReadOnlyAdmin):
    """The edges of the dependency graph."""

    list_display = ("task", "depends_on")
    search_fields = ("=task__id", "=depends_on__id")
    list_select_related = ("task", "depends_on")


@admin.register(SubmissionKey)
class SubmissionKeyAdmin(ReadOnlyAdmin):
    """Idempotency keys of the last day."""

    list_display = ("key", "user", "tenant", "created_at")
    search_fields = ("key",)
    list_select_related = ("user", "tenant")


@admin.register(StoredFile)
class StoredFileAdmin(ReadOnlyAdmin):
    """Files of all tenants that hosts are sent or have sent; content is not shown here."""

    list_display = ("name", "tenant", "size_bytes", "complete", "created_by", "expires_time")
    list_filter = ("complete", "tenant")
    search_fields = ("=id", "name", "sha256")
    list_select_related = ("tenant", "created_by")
    show_full_result_count = False


@admin.register(FileTransfer)
class FileTransferAdmin(ReadOnlyAdmin):
    """What tasks of the file kinds move."""

    list_display = ("task", "path", "stored_file")
    search_fields = ("=task__id", "path")
    list_select_related = ("task", "stored_file")
    show_full_result_count = False
