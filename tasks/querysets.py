"""All reads of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from tasks.models import Task


class TaskQuerySet(models.QuerySet["Task"]):
    """Tasks by tenant and state."""

    def of_tenant(self, tenant_id: str) -> TaskQuerySet:
        """Return the tasks of one tenant."""
        return self.filter(tenant_id=tenant_id)
