"""The project as an app: home of the management commands and of the system checks."""

from django.apps import AppConfig


class PlatformConfig(AppConfig):
    """Registers the system checks of the installation."""

    name = "dialer_platform"
    verbose_name = "Dialer Platform"

    def ready(self) -> None:
        """Import the checks so that `manage.py check` runs them, and guard the database files."""
        from dialer_platform import checks  # noqa: F401
        from dialer_platform.storage import private_files

        private_files.connect()
