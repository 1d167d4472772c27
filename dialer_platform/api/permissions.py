"""The default permission of REST views: the role table, asked by the view's own action.

A view says `actions = {"list": "task.view", "create": "task.submit", …}` (for plain API
views the keys are HTTP methods in lower case). A view that says nothing is readable by
every signed-in person and changeable by none. An object of another tenant is a 404.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.http import Http404
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from dialer_platform.accounts.permissions import can, owns
from dialer_platform.accounts.principal import Principal

if TYPE_CHECKING:  # rest_framework.views itself imports this module.
    from rest_framework.views import APIView


class RolePermission(BasePermission):
    """Asks `can()` for the action of the view."""

    message = "Your role does not allow this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the caller's role allows the view's action at all."""
        principal = getattr(request, "principal", None)
        if not isinstance(principal, Principal):
            return False
        name = action_name(request, view)
        if name is None:
            return True  # No handler for this method: the view answers 405.
        actions: Mapping[str, str] | None = getattr(view, "actions", None)
        if actions is None or name == "metadata":
            return request.method in SAFE_METHODS
        return name in actions and can(principal, actions[name])

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        """Raise Http404 for a foreign object; the role was asked before."""
        principal = getattr(request, "principal", None)
        if not isinstance(principal, Principal) or not owns(principal, obj):
            raise Http404
        return True


def action_name(request: Request, view: APIView) -> str | None:
    """Return the view's action: the view set's own, else the method; None when not handled."""
    if hasattr(view, "action_map"):
        return getattr(view, "action", None)
    method = str(request.method).lower()
    if method == "options":
        return "metadata"
    return method if hasattr(view, method) else None
