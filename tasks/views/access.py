"""Who may do what on the task pages; shared by their views.

Promises that a task of another tenant is missing (404) and a lacking role forbidden (403).
"""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _

from dialer_platform.accounts.permissions import can
from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.errors import Forbidden, NotFound
from tasks.models import Task


def allowed(request: HttpRequest, action: str) -> Principal:
    """Return the principal if its role allows the action; raises Forbidden."""
    principal = principal_of(request)
    if not can(principal, action):
        raise Forbidden(_("Your role does not allow this."))
    return principal


def task_for(request: HttpRequest, task_id: int, action: str = "task.view") -> Task:
    """Return a task of the tenant with what pages show of it; raises NotFound, Forbidden."""
    principal = principal_of(request)
    task = Task.objects.visible_to(principal).shown().filter(pk=task_id).first()
    if task is None:
        raise NotFound(_("There is no such task."))
    if not can(principal, action, task):
        raise Forbidden(_("Your role does not allow this."))
    return task
