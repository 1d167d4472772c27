"""App configuration: the tables of the database alias `series`."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SeriesConfig(AppConfig):
    """Owns the tables that grow with time and are deleted by age."""

    name = "tasks.probes.series"
    label = "probe_series"
    verbose_name = _("Results of probes")
