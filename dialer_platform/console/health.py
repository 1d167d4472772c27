"""Liveness, readiness and figures for monitoring.

Promises that /healthz touches nothing but this process, and that /readyz says which part
is not ready. The figures come from the collectors that apps register with
prometheus_client; a caller from elsewhere sees those of the own tenant, a superuser all.
"""

from __future__ import annotations

import ipaddress

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dialer_platform import readiness
from dialer_platform.accounts.address import client_address, is_forwarded_unseen
from dialer_platform.accounts.authentication import principal_by_token
from dialer_platform.accounts.principal import Principal
from dialer_platform.api import errors
from dialer_platform.console import tenant_metrics
from dialer_platform.console.overdue import Overdue, SharedQuestion
from dialer_platform.housekeeping import lease
from dialer_platform.models import Lease
from dialer_platform.storage import write_transaction

BEARER = "Bearer "
WAIT_SECONDS = 2.0
"""How long the write check stands behind other writers of this process."""
ANSWER_SECONDS = 3.0
"""How long a database is waited for that neither answers nor refuses."""
READY_SECONDS = 1.0
"""How long an answer of the write check is believed: strangers may ask as often as they like."""


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether the database can be written and the periodic work is being done."""
    checks = cache.get_or_set("console.readyz", ready_checks, READY_SECONDS) or {}
    is_ready = all(checks.values())
    words = {name: "ok" if is_fine else "failed" for name, is_fine in checks.items()}
    body = {"status": "ok" if is_ready else "not ready", "checks": words}
    return JsonResponse(body, status=200 if is_ready else 503)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the figures in Prometheus' format: to this machine, or to a user's token."""
    if is_this_machine(request):
        return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
    principal = bearer_of(request)
    if principal is None:
        body = errors.body("unauthenticated", "Send a token: Authorization: Bearer dpu_…")
        challenge = {"WWW-Authenticate": 'Bearer realm="metrics"'}
        return JsonResponse(body, status=401, headers=challenge)
    # Names, targets and values of other tenants, and how the process is, are the operator's.
    is_all = principal.user.is_superuser
    text = generate_latest() if is_all else tenant_metrics.text_of(principal.tenant_id)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def ready_checks() -> dict[str, bool]:
    """Return what must hold before the server can do its work."""
    try:
        stored = database_checks.answer(ANSWER_SECONDS)
    except Overdue:
        stored = {"database": False, "housekeeping": False}
    return {**stored, **readiness.verdicts()}


def ask_database() -> dict[str, bool]:
    """Return what the database says; it hangs when the database does."""
    is_writable = is_database_writable()
    return {"database": is_writable, "housekeeping": is_writable and lease.is_fresh()}


def ask_database_once() -> dict[str, bool]:
    """Return what the database says to a thread that ends with the answer."""
    try:
        return ask_database()
    finally:
        connection.close()


database_checks = SharedQuestion(ask_database_once, name="readiness")


def is_database_writable() -> bool:
    """Return whether a write transaction succeeds; it changes no row."""
    try:
        with write_transaction(wait_seconds=WAIT_SECONDS):
            Lease.objects.filter(name="").update(renewed_at=timezone.now())
    except DatabaseError:
        return False
    return True


def is_this_machine(request: HttpRequest) -> bool:
    """Return whether the caller is on this machine, and no proxy speaks for somebody else."""
    return is_loopback(client_address(request)) and not is_forwarded_unseen(request)


def bearer_of(request: HttpRequest) -> Principal | None:
    """Return whom a valid user token of the request stands for, None without one."""
    header = request.headers.get("Authorization", "")
    return principal_by_token(header[len(BEARER) :]) if header.startswith(BEARER) else None


def is_loopback(address: str) -> bool:
    """Return whether an address is this machine's own; never for one that cannot be read."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
