"""The address that a target reports to: its token is the credential, there is no other.

Open to strangers by nature; knows no cookies, tells nothing but ok, and a wrong token
costs one indexed read.
"""

from __future__ import annotations

import math

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from tasks.probes.services.pushes import report

MAX_MESSAGE_CHARACTERS = 1_000


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def push(request: HttpRequest, token: str) -> HttpResponse:
    """Take a report: `?status=up|degraded|down&msg=…&ping=<milliseconds>`; 404 otherwise."""
    query = request.GET
    report(
        token,
        status=query.get("status", ""),
        message=query.get("msg", "")[:MAX_MESSAGE_CHARACTERS],
        ping=_number(query.get("ping", "")),
    )
    return JsonResponse({"ok": True})


def _number(text: str) -> float:
    """Return a number of milliseconds, 0 for anything else."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
