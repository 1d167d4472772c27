"""App configuration: Reusable script templates."""

from django.apps import AppConfig


class TemplatesConfig(AppConfig):
    """Reusable script templates."""

    name = "templates_app"
    label = "templates_app"
    verbose_name = "Templates"
