"""App configuration: alert channels, rules and their deliveries."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AlertsConfig(AppConfig):
    """Registers the sources of problems, the evaluation and the delivery thread."""

    name = "tasks.alerts"
    label = "alerts"
    verbose_name = _("Alerts")

    def ready(self) -> None:
        """Wire the periodic evaluation and the delivery service."""
        from tasks.alerts import wiring

        wiring.connect()
