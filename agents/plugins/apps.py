"""App configuration: plug-ins on hosts and their packages."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PluginsConfig(AppConfig):
    """Registers the services of a server process and the periodic jobs."""

    name = "agents.plugins"
    label = "agent_plugins"
    verbose_name = _("Plug-ins")

    def ready(self) -> None:
        """Wire the endpoints of agents, the threads and the housekeeping."""
        from agents.plugins import wiring

        wiring.connect()
