"""Edges of the dependency graph."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class TaskDependency(models.Model):
    """`task` may start only after `depends_on` completed."""

    task = models.ForeignKey("tasks.Task", models.CASCADE, related_name="dependency_edges")
    depends_on = models.ForeignKey("tasks.Task", models.PROTECT, related_name="dependent_edges")

    class Meta:
        verbose_name = _("task dependency")
        verbose_name_plural = _("task dependencies")
        constraints = [
            models.UniqueConstraint(fields=("task", "depends_on"), name="one_edge_per_pair"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} after {self.depends_on_id}"
