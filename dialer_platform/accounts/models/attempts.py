"""How often somebody failed to sign in, by account and by address."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class LoginAttempts(models.Model):
    """A window of attempts of one account or address; unknown accounts count like known ones."""

    key = models.CharField(_("account or address"), max_length=200, primary_key=True)
    window_started_at = models.DateTimeField(_("since"))
    count = models.PositiveIntegerField(_("attempts"), default=0)

    class Meta:
        verbose_name = _("login attempts")
        verbose_name_plural = _("login attempts")
        ordering = ("-window_started_at",)

    def __str__(self) -> str:
        return f"{self.key} · {self.count}"
