"""App configuration: the queue, its dependencies, matching and logs."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TasksConfig(AppConfig):
    """Registers the app's handlers, background services and periodic jobs."""

    name = "tasks"
    label = "tasks"
    verbose_name = _("Tasks")

    def ready(self) -> None:
        """Wire the agents' inbox, the services of a server process and the housekeeping."""
        from tasks import wiring

        wiring.connect()
