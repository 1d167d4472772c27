"""Variables of every page: who is acting, the sidebar, the words for the scripts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.translation import get_language

from dialer_platform.accounts.models import Tenant
from dialer_platform.accounts.principal import Principal
from dialer_platform.console import extension, wording
from dialer_platform.console.extension import Text


@dataclass(frozen=True, slots=True)
class NavEntry:
    """One entry of the sidebar as it is drawn."""

    key: str
    label: Text
    url: str
    icon: str
    is_current: bool
    count: int
    count_title: Text


def console(request: HttpRequest) -> dict[str, Any]:
    """Return the variables; what costs a query is read only when the template uses it."""
    principal = getattr(request, "principal", None)
    return {
        "principal": principal,
        "nav": SimpleLazyObject(lambda: nav_entries(principal, request.path)),
        "tenants": SimpleLazyObject(lambda: open_tenants(principal)),
        "units": wording.unit_words(),
        "server_time": time.time(),
        "other_language": other_language(),
    }


def nav_entries(principal: Principal | None, path: str) -> list[NavEntry]:
    """Return the sidebar for a page: its entries with what needs attention."""
    if principal is None:
        return []
    return [
        NavEntry(
            key,
            item.label,
            item.url,
            item.icon,
            path == item.url or (item.url != "/" and path.startswith(item.url)),
            item.count(principal) if item.count else 0,
            item.count_title,
        )
        for key, item in extension.nav_for(principal)
    ]


def open_tenants(principal: Principal | None) -> list[Tenant]:
    """Return the tenants the person may switch to, none while there is only one."""
    if principal is None:
        return []
    found = list(Tenant.objects.open_to(principal.user)[:50])
    return found if len(found) > 1 else []


def other_language() -> tuple[str, str]:
    """Return the code and name of the language that the switch leads to."""
    current = get_language()
    return next(pair for pair in settings.LANGUAGES if pair[0] != current)
