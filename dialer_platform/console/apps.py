"""App configuration: Shared pages, partials, live hints, health and metrics."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Shared pages, partials, live hints, health and metrics."""

    name = "dialer_platform.console"
    label = "console"
    verbose_name = "Console"
