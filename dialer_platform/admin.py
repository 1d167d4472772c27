"""Periodic work in the admin: who does it, and when each job ran last."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from dialer_platform.accounts.admin import ReadOnlyAdmin, badge
from dialer_platform.models import JobRun, Lease


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    """The last run of every job."""

    list_display = ("name", "state", "interval_seconds", "finished_at", "duration_seconds", "runs")
    search_fields = ("name", "error")

    @admin.display(description=_("state"))
    def state(self, run: JobRun) -> SafeString:
        """Return whether the last run went well."""
        return badge("failed", _("failed")) if run.error else badge("done", _("done"))


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    """Which process does the periodic work."""

    list_display = ("name", "holder", "renewed_at")
