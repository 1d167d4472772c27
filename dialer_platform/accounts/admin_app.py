"""Puts the console's own admin site in the place of Django's."""

from django.contrib.admin.apps import AdminConfig


class ConsoleAdminConfig(AdminConfig):
    """Makes `admin.site` a ConsoleAdminSite."""

    default_site = "dialer_platform.accounts.admin_site.ConsoleAdminSite"
