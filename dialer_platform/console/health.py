"""Liveness, readiness and figures for monitoring.

Promises that /healthz touches nothing but this process, and that /readyz says which part
is not ready, within ANSWER_SECONDS also while the database hangs. The figures come from the
collectors that apps register with prometheus_client; a caller from elsewhere sees those of
the own tenant, a superuser all.
"""

from __future__ import annotations

import ipaddress

from django.db import DatabaseError, close_old_connections
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
from dialer_platform.housekeeping import lease
from dialer_platform.models import Lease
from dialer_platform.shared_answer import SharedAnswer
from dialer_platform.storage import write_transaction

BEARER = "Bearer "
WAIT_SECONDS = 2.0
"""How long the write check stands behind other writers of this process."""
ANSWER_SECONDS = 3.0
"""How long the database may take for all that it is asked; longer is no answer."""
READY_SECONDS = 1.0
"""How long an answer of the database is believed: strangers may ask as often as they like."""


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether the database can be written and the periodic work is being done."""
    words = ready_words()
    is_ready = set(words.values()) == {"ok"}
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


def ready_words() -> dict[str, str]:
    """Return how each part is that must be well before the server can do its work."""
    stored = database_answer.get()
    words = {name: word_of(is_fine) for name, is_fine in readiness.verdicts().items()}
    if stored is None:
        return {"database": "no answer", "housekeeping": "unknown", **words}
    return {**{name: word_of(is_fine) for name, is_fine in stored.items()}, **words}


def word_of(is_fine: bool) -> str:
    """Return how a part that was looked at is called."""
    return "ok" if is_fine else "failed"


def database_checks() -> dict[str, bool]:
    """Ask the database what it knows of being ready; takes as long as the database does."""
    try:
        is_writable = is_database_writable()
        return {"database": is_writable, "housekeeping": is_writable and lease.is_fresh()}
    finally:
        close_old_connections()  # No request ends in the thread that asks.


database_answer = SharedAnswer(
    database_checks, wait_seconds=ANSWER_SECONDS, believed_seconds=READY_SECONDS
)


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
