"""All reads of tasks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from tasks.choices import FINAL, OCCUPYING, Phase, Status

if TYPE_CHECKING:
    from dialer_platform.accounts.principal import Principal
    from tasks.models import StoredFile, Task  # noqa: F401 - named in the classes below


SHOWN = (
    "agent__name",
    "agent__status",
    "agent__main_agent",
    "wanted_agent__name",
    "wanted_agent__main_agent",
    "created_by__username",
)
"""What is shown of a task's host and person; their own rows are several times as long."""


class TaskQuerySet(models.QuerySet["Task"]):
    """Tasks by tenant and state."""

    def of_tenant(self, tenant_id: str) -> TaskQuerySet:
        """Return the tasks of one tenant."""
        return self.filter(tenant_id=tenant_id)

    def visible_to(self, principal: Principal) -> TaskQuerySet:
        """Return the tasks of the principal's tenant."""
        return self.of_tenant(principal.tenant_id)

    def runnable(self) -> TaskQuerySet:
        """Return the tasks that wait for a host, most urgent first, then oldest."""
        return self.filter(status=Status.WAITING, phase=Phase.QUEUED).order_by("priority", "id")

    def occupying(self) -> TaskQuerySet:
        """Return the tasks that book resources of an agent."""
        return self.filter(phase__in=OCCUPYING)

    def running(self) -> TaskQuerySet:
        """Return the tasks whose script may be running."""
        return self.filter(status=Status.RUNNING)

    def on_agent(self, agent_id: str) -> TaskQuerySet:
        """Return the tasks given to a host or, while not given to any, named for it."""
        return self.filter(
            Q(agent_id=agent_id) | Q(agent_id__isnull=True, wanted_agent_id=agent_id)
        )

    def shown(self) -> TaskQuerySet:
        """Return the tasks with all that an answer or a row of a page shows of them."""
        named = self.model.objects.only("id", "name", "status")
        own = [field.name for field in self.model._meta.concrete_fields]
        joined = self.select_related("agent", "wanted_agent", "created_by").only(*own, *SHOWN)
        return joined.prefetch_related(
            models.Prefetch("dependency_edges__depends_on", queryset=named)
        )

    def unreachable(self) -> TaskQuerySet:
        """Return the tasks that may be running on a host that is silent."""
        return self.running().exclude(agent__status="online")

    def counts_by_status(self) -> dict[str, int]:
        """Return how many tasks have each status, zeros included."""
        found = dict(self.order_by().values_list("status").annotate(models.Count("id")))
        return {status: found.get(status, 0) for status in Status.values}


class StoredFileQuerySet(models.QuerySet["StoredFile"]):
    """Files by tenant and use."""

    def of_tenant(self, tenant_id: str) -> StoredFileQuerySet:
        """Return the files of one tenant."""
        return self.filter(tenant_id=tenant_id)

    def visible_to(self, principal: Principal) -> StoredFileQuerySet:
        """Return the files of the principal's tenant."""
        return self.of_tenant(principal.tenant_id)

    def in_use(self) -> StoredFileQuerySet:
        """Return the files that a task needs which has not ended."""
        return self.filter(self._has_open_task())

    def expired(self, now: datetime) -> StoredFileQuerySet:
        """Return the files whose time is over and that no task needs any more."""
        return self.filter(~self._has_open_task(), expires_time__lt=now)

    @staticmethod
    def _has_open_task() -> models.Exists:
        """Return the condition that a task which has not ended moves the file."""
        from tasks.models import FileTransfer  # the model names this class

        transfers = FileTransfer.objects.filter(stored_file_id=models.OuterRef("pk"))
        return models.Exists(transfers.exclude(task__status__in=FINAL))
