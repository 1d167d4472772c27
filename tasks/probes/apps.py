"""App configuration: probes, their states and their results."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProbesConfig(AppConfig):
    """Registers what agents are told and bring, and the periodic jobs."""

    name = "tasks.probes"
    label = "probes"
    verbose_name = _("Probes")

    def ready(self) -> None:
        """Wire the agents' endpoints, the services of a server process and the housekeeping."""
        from tasks.probes import wiring

        wiring.connect()
