"""App configuration: hosts, their enrolment, credentials, heartbeats and messages."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AgentsConfig(AppConfig):
    """Registers the app's handlers, background services and periodic jobs."""

    name = "agents"
    label = "agents"
    verbose_name = _("Agents")

    def ready(self) -> None:
        """Wire the inbox, the services of a server process and the housekeeping."""
        from agents import wiring

        wiring.connect()
