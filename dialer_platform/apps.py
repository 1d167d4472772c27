"""The project as an app: home of the management commands and of the system checks."""

from django.apps import AppConfig


class PlatformConfig(AppConfig):
    """Registers the system checks of the installation."""

    name = "dialer_platform"
    verbose_name = "Dialer Platform"

    def ready(self) -> None:
        """Import the checks, and let a server process do the periodic work."""
        from dialer_platform import checks, runtime  # noqa: F401
        from dialer_platform.housekeeping.loop import HousekeepingLoop

        loop = HousekeepingLoop()
        runtime.register("housekeeping", loop.start, loop.stop)
