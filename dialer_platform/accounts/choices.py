"""Roles of people and scopes of their tokens."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """What a member may do in a tenant; each includes the ones below it."""

    ADMIN = "admin", _("administrator")
    OPERATOR = "operator", _("operator")
    VIEWER = "viewer", _("viewer")


class Scope(models.TextChoices):
    """How far an API token narrows its owner's role."""

    ADMIN = "admin", _("everything the owner may")
    OPERATE = "operate", _("read and operate")
    READ = "read", _("read only")
