"""How far a follower of the result log has come."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class FollowCursor(models.Model):
    """The id of the last result that a follower has worked in, committed with its work."""

    name = models.CharField(_("follower"), primary_key=True, max_length=32)
    last_id = models.BigIntegerField(_("last result"), default=0)

    class Meta:
        verbose_name = _("follower of results")
        verbose_name_plural = _("followers of results")

    def __str__(self) -> str:
        return f"{self.name} {self.last_id}"
