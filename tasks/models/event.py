"""The timeline of a task."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class TaskEvent(models.Model):
    """One thing that happened to a task: append-only, in the order of its id."""

    task = models.ForeignKey("tasks.Task", models.CASCADE, related_name="events")
    at = models.DateTimeField(_("time"))
    kind = models.CharField(_("kind"), max_length=32)
    actor = models.CharField(_("actor"), max_length=200, blank=True)
    detail = models.JSONField(_("detail"), default=dict, blank=True)

    class Meta:
        verbose_name = _("task event")
        verbose_name_plural = _("task events")
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.task_id} {self.kind}"
