"""One view, two answers: a full page, or the fragment HTMX asks for.

Owns the one predicate between the two, the version by which an unchanged fragment is
answered 204, and the headers that make the page show a toast. Promises that a history
restore gets a full page and that caches keep pages and fragments apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import wraps
from hashlib import blake2b
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme

from dialer_platform.errors import DomainError, Forbidden, NotFound

VERSION_HEADER = "X-Fragment-Version"
FRAGMENT_VARIES = ("HX-Request", "HX-Target", VERSION_HEADER)
# What differs in every rendering without being a change: ticking times and masked tokens.
VOLATILE = re.compile(
    r"(<[^>]*\sdata-(?:relative|since)\b[^>]*>)[^<]*|(name=\"csrfmiddlewaretoken\" value=\")[^\"]*"
)

Context = Mapping[str, Any]
P = ParamSpec("P")


def is_fragment(request: HttpRequest) -> bool:
    """Tell whether HTMX asks for a part of the page."""
    headers = request.headers
    return (
        headers.get("HX-Request") == "true"
        and "HX-Boosted" not in headers
        and headers.get("HX-History-Restore-Request") != "true"
    )


def render_page(
    request: HttpRequest,
    page: str,
    context: Context,
    *,
    fragment: str,
    status: int = 200,
) -> HttpResponse:
    """Answer with the whole page or with its fragment, from the same variables."""
    if is_fragment(request):
        return render_fragment(request, fragment, context, status=status)
    response = HttpResponse(render_to_string(page, dict(context), request), status=status)
    patch_vary_headers(response, FRAGMENT_VARIES)
    return response


def render_fragment(
    request: HttpRequest, template: str, context: Context, *, status: int = 200
) -> HttpResponse:
    """Answer with a fragment, or 204 when the page shows this version already."""
    html = render_to_string(template, dict(context), request)
    version = version_of(html)
    if status == 200 and request.headers.get(VERSION_HEADER) == version:
        response = HttpResponse(status=204)
    else:
        response = HttpResponse(html, status=status, headers={VERSION_HEADER: version})
    patch_vary_headers(response, FRAGMENT_VARIES)
    response.headers["Cache-Control"] = "no-store"
    return response


def version_of(html: str) -> str:
    """Return the version of a fragment: a digest of all but its ticking times."""
    stable = VOLATILE.sub(lambda match: match[1] or match[2], html)
    return blake2b(stable.encode(), digest_size=8).hexdigest()


def trigger(response: HttpResponse, name: str, detail: Any = None) -> HttpResponse:
    """Have the page fire an event when the answer arrives; keeps earlier ones."""
    events = json.loads(response.headers.get("HX-Trigger", "{}"))
    events[name] = detail
    response.headers["HX-Trigger"] = json.dumps(events)
    return response


def toast(response: HttpResponse, text: str, tone: str = "done") -> HttpResponse:
    """Have the page show a short note: tone is done, running, waiting or failed."""
    return trigger(response, "toast", {"text": str(text), "tone": tone})


def go_to(request: HttpRequest, url: str, *, note: str = "") -> HttpResponse:
    """Send the browser to another page after an action, with a note to show there."""
    if note:
        messages.success(request, note)
    if is_fragment(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return redirect(url)


def acted(request: HttpRequest, note: str, *, back: str) -> HttpResponse:
    """Answer an action that changed something: a toast in place, or back with the note.

    The changed parts of the page refresh by their own hints; "live:now" refreshes them at
    once also where no socket is open.
    """
    if is_fragment(request):
        response = toast(HttpResponse(status=204), note)
        trigger(response, "dialog:close")
        return trigger(response, "live:now")
    messages.success(request, note)
    return HttpResponseRedirect(_safe_back(request, back))


def answers_errors(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Turn errors of the domain into a toast or, without HTMX, into a note on the last page.

    A missing object stays a 404 and a lacking role a 403.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.detail) from error
        except DomainError as error:
            return _answer_error(request, error)

    return wrapped


def _answer_error(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Show the error's sentence where the person is."""
    if is_fragment(request):
        return toast(HttpResponse(status=error.status), error.detail, "failed")
    if isinstance(error, Forbidden) or request.method == "GET":
        text = render_to_string("error.html", {"error": error}, request)
        return HttpResponse(text, status=error.status)
    messages.error(request, error.detail)
    return HttpResponseRedirect(_safe_back(request, "/"))


def _safe_back(request: HttpRequest, default: str) -> str:
    """Return the page the person came from if it is ours."""
    target = request.POST.get("next") or request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return target if is_ours else default
