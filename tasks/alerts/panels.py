"""What alerts add to the console: their entry in the sidebar, figures for monitoring."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Count
from django.utils.translation import gettext_lazy as _

from dialer_platform.accounts.principal import Principal
from dialer_platform.console import extension, figures
from tasks.alerts.choices import DeliveryState
from tasks.alerts.models import Delivery


def count_failed(principal: Principal) -> int:
    """Return how many messages of the newest ones could not be sent."""
    newest = Delivery.objects.visible_to(principal).order_by("-id").values("id")[:50]
    return Delivery.objects.filter(id__in=newest, state=DeliveryState.FAILED).count()


def count_by_state() -> Mapping[str, float]:
    """Return the deliveries kept, of all tenants, by state."""
    return dict(Delivery.objects.order_by().values_list("state").annotate(Count("id")))


extension.add_nav(
    "alerts",
    extension.NavItem(
        label=_("Alerts"),
        url="/alerts/",
        icon="alert",
        order=28,
        action="alert.view",
        count=count_failed,
        count_title=_("not delivered"),
    ),
)
figures.add(
    figures.Figure(
        "alert_deliveries", "Alert messages of 30 days by state.", count_by_state, label="state"
    )
)
