"""App configuration: Reusable script templates."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TemplatesConfig(AppConfig):
    """Reusable script templates."""

    name = "templates_app"
    label = "templates_app"
    verbose_name = _("Templates")
