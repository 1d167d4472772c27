"""The console's own entry in the sidebar."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from dialer_platform.console.extension import NavItem, add_nav

add_nav(
    "overview",
    NavItem(label=_("Overview"), url="/", icon="overview", order=0, action="overview.view"),
)
