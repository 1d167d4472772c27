"""App configuration: Shared pages, partials, live hints, health and metrics."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    """Shared pages, partials, live hints, health and metrics."""

    name = "dialer_platform.console"
    label = "console"
    verbose_name = _("Console")

    def ready(self) -> None:
        """Compile the translations, let the apps add their panels, register the doorbell."""
        from dialer_platform import runtime
        from dialer_platform.console import catalogue, live, relay

        catalogue.compile_catalogues()
        autodiscover_modules("panels")
        live.listen()
        runtime.register("relay", relay.start, relay.stop)
