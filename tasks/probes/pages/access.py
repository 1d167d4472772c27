"""Who may do what on the probe pages; shared by their views.

Promises that a probe of another tenant is missing (404) and a lacking role forbidden (403).
"""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _

from dialer_platform.accounts.permissions import can
from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.errors import Forbidden, NotFound
from tasks.probes.models import Probe


def allowed(request: HttpRequest, action: str) -> Principal:
    """Return the principal if its role allows the action; raises Forbidden."""
    principal = principal_of(request)
    if not can(principal, action):
        raise Forbidden(_("Your role does not allow this."))
    return principal


def probe_for(request: HttpRequest, probe_id: int, action: str = "probe.view") -> Probe:
    """Return a probe of the tenant with its locations; raises NotFound, Forbidden."""
    principal = principal_of(request)
    probe = Probe.objects.visible_to(principal).shown().filter(pk=probe_id).first()
    if probe is None:
        raise NotFound(_("There is no such probe."))
    if not can(principal, action, probe):
        raise Forbidden(_("Your role does not allow this."))
    return probe
