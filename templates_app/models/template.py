"""Script templates: a name and a script to start from."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from templates_app.querysets import TemplateQuerySet


class ScriptType(models.TextChoices):
    """Languages a script may be written in."""

    SHELL = "shell", "shell"
    PYTHON = "python", "python"
    POWERSHELL = "powershell", "powershell"


class Template(models.Model):
    """A script to fill the new-task form with; name and content are enough."""

    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="templates")
    name = models.CharField(_("name"), max_length=100)
    script_type = models.CharField(
        _("script type"), max_length=16, choices=ScriptType, default=ScriptType.SHELL
    )
    script_content = models.TextField(_("script"))
    description = models.CharField(_("description"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    created_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, blank=True, related_name="+"
    )

    objects = TemplateQuerySet.as_manager()

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=("tenant", "name"), name="template_name_per_tenant"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the template's page."""
        return f"/templates/{self.pk}/"
