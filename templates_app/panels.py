"""What templates add to the console: navigation and search."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from dialer_platform.accounts.principal import Principal
from dialer_platform.console import extension
from templates_app.models import Template


def find(principal: Principal, words: str, limit: int) -> Iterable[extension.Hit]:
    """Return the templates that contain the words."""
    found = Template.objects.visible_to(principal).matching(words).order_by("name")
    for template in found.only("id", "name", "script_type", "tenant_id")[:limit]:
        yield extension.Hit(template.name, template.get_absolute_url(), template.script_type)


extension.add_nav(
    "templates",
    extension.NavItem(
        label=_("Templates"),
        url="/templates/",
        icon="templates",
        order=30,
        action="template.view",
    ),
)
extension.add_search(
    "templates",
    extension.SearchSource(_("Templates"), 30, "template.view", find, all_url="/templates/?q="),
)
