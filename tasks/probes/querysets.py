"""All reads of probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from tasks.probes.choices import PUSH_KIND, State

if TYPE_CHECKING:
    from dialer_platform.accounts.principal import Principal
    from tasks.probes.models import Probe  # noqa: F401 - named in the class below


class ProbeQuerySet(models.QuerySet["Probe"]):
    """Probes by tenant, assignment and state."""

    def of_tenant(self, tenant_id: str) -> ProbeQuerySet:
        """Return the probes of one tenant."""
        return self.filter(tenant_id=tenant_id)

    def visible_to(self, principal: Principal) -> ProbeQuerySet:
        """Return the probes of the principal's tenant."""
        return self.of_tenant(principal.tenant_id)

    def for_agents(self) -> ProbeQuerySet:
        """Return the probes that hosts run: enabled ones, but not those that report themselves."""
        return self.filter(enabled=True).exclude(kind=PUSH_KIND)

    def down(self) -> ProbeQuerySet:
        """Return the probes whose target is down."""
        return self.filter(state=State.DOWN)

    def shown(self) -> ProbeQuerySet:
        """Return the probes with all that an answer or a row of a page shows of them."""
        from tasks.probes.models import Location

        locations = Location.objects.select_related("agent").only(
            *(field.name for field in Location._meta.concrete_fields),
            "agent__name",
            "agent__status",
            "agent__main_agent",
        )
        return self.select_related("created_by").prefetch_related(
            "agents", "parents", models.Prefetch("locations", queryset=locations.order_by("id"))
        )
