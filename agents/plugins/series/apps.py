"""App configuration: the plug-ins' tables in the database alias `series`."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PluginSeriesConfig(AppConfig):
    """Owns the tables that grow with time and are deleted by age and size."""

    name = "agents.plugins.series"
    label = "plugin_series"
    verbose_name = _("Samples of plug-ins")
