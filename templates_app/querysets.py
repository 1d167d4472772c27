"""All reads of templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from dialer_platform.accounts.principal import Principal
    from templates_app.models.template import Template  # noqa: F401 - named by the string below


class TemplateQuerySet(models.QuerySet["Template"]):
    """Templates by tenant and words."""

    def of_tenant(self, tenant_id: str) -> TemplateQuerySet:
        """Return the templates of one tenant."""
        return self.filter(tenant_id=tenant_id)

    def visible_to(self, principal: Principal) -> TemplateQuerySet:
        """Return the templates of the tenant the person acts in."""
        return self.of_tenant(principal.tenant_id)

    def matching(self, words: str) -> TemplateQuerySet:
        """Return the templates whose name, description or script contains the words."""
        return self.filter(
            Q(name__icontains=words)
            | Q(description__icontains=words)
            | Q(script_content__icontains=words)
        )
