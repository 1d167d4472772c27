"""Turns every failure under /api/ into `{"code", "detail", "fields"}` with the right status.

Owns the catalogue of HTTP-level codes; codes of the domain come with its errors. Never
shows internals: an unexpected error is logged and answered as `internal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from dialer_platform.errors import DomainError, FieldErrors
from dialer_platform.middleware import API_PREFIX

CODES_BY_STATUS = {
    400: "invalid",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many",
    500: "internal",
    503: "unavailable",
}
NOT_FOUND_DETAIL = "There is no such object here."
FORBIDDEN_DETAIL = "Your role does not allow this."
WHOLE_BODY = "body"
ERROR_TYPES = frozenset({"application/json", "text/html"})
"""What an error is shown in; the schema has formats of its own."""


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the API's answer for an error raised in a REST view; None is a 500."""
    request = context.get("request")
    renderer = getattr(request, "accepted_renderer", None)
    if request and renderer and renderer.media_type not in ERROR_TYPES:
        request.accepted_renderer = JSONRenderer()
        request.accepted_media_type = JSONRenderer.media_type
    return _answer_to(error)


def _answer_to(error: Exception) -> Response | None:
    """Return the answer by the kind of error; None for what nobody expected."""
    if isinstance(error, DomainError):
        return _answer(error.status, error.code, error.detail, error.fields)
    if isinstance(error, Http404):
        return _answer(404, "not_found", NOT_FOUND_DETAIL)
    if isinstance(error, PermissionDenied):
        return _answer(403, "forbidden", str(error) or FORBIDDEN_DETAIL)
    if isinstance(error, RecursionError):
        return _answer(400, "malformed", "The body is nested too deeply.")
    if isinstance(error, RequestDataTooBig):
        return _answer(413, "too_large", "The request body is too large.")
    if isinstance(error, exceptions.ValidationError):
        fields = field_errors(error.detail)
        return _answer(400, "invalid", first_sentence(fields), fields)
    if isinstance(error, exceptions.APIException):
        return _from_api_exception(error)
    return None


def body(code: str, detail: str, fields: FieldErrors | None = None) -> dict[str, Any]:
    """Return the API's error object."""
    return {"code": code, "detail": detail, "fields": dict(fields or {})}


def field_errors(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    """Flatten the nested detail of a validation error to `{"a.b": [sentences]}`."""
    found: dict[str, list[str]] = {}
    for name, sentence in _leaves(detail, prefix):
        found.setdefault(name or WHOLE_BODY, []).append(sentence)
    return found


def first_sentence(fields: FieldErrors) -> str:
    """Return one sentence for people who read only the detail."""
    for name, sentences in fields.items():
        return f"{name}: {sentences[0]}" if name != WHOLE_BODY else sentences[0]
    return "The input is not valid."


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 for a path that no route knows: JSON under /api/, else a page."""
    if request.path.startswith(API_PREFIX):
        return JsonResponse(body("not_found", NOT_FOUND_DETAIL), status=404)
    return defaults.page_not_found(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403: JSON under /api/, else a page."""
    if request.path.startswith(API_PREFIX):
        return JsonResponse(body("forbidden", FORBIDDEN_DETAIL), status=403)
    return defaults.permission_denied(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 for what Django itself refuses: JSON under /api/, else a page."""
    if request.path.startswith(API_PREFIX):
        return JsonResponse(body("invalid", "The request is malformed."), status=400)
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 without internals: JSON under /api/, else a page."""
    if request.path.startswith(API_PREFIX):
        detail = "Something went wrong on the server; its log says what."
        return JsonResponse(body("internal", detail), status=500)
    return defaults.server_error(request)


def _from_api_exception(error: exceptions.APIException) -> Response:
    """Answer DRF's own errors by status, keeping their challenge and waiting time."""
    code = CODES_BY_STATUS.get(error.status_code, "error")
    if isinstance(error, exceptions.ParseError):
        code = "malformed"
    response = _answer(error.status_code, code, str(error.detail))
    challenge = getattr(error, "auth_header", None)
    if challenge:
        response["WWW-Authenticate"] = challenge
    wait_seconds = getattr(error, "wait", None)
    if wait_seconds:
        response["Retry-After"] = str(int(wait_seconds))
    return response


def _answer(
    status_code: int, code: str, detail: str, fields: FieldErrors | None = None
) -> Response:
    """Return the answer; a 401 always carries a challenge."""
    response = Response(body(code, detail, fields), status=status_code)
    if status_code == status.HTTP_401_UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="api"'
    return response


def _leaves(detail: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, sentence) for every sentence in a nested detail."""
    if isinstance(detail, Mapping):
        for name, value in detail.items():
            part = "" if name == "non_field_errors" else str(name)
            yield from _leaves(value, ".".join(filter(None, (prefix, part))))
    elif isinstance(detail, list | tuple):
        for index, value in enumerate(detail):
            is_nested = isinstance(value, Mapping | list | tuple)
            # Rows of a batch are numbered; the sentences of one field are not.
            yield from (
                _leaves(value, ".".join(filter(None, (prefix, str(index)))))
                if (is_nested)
                else _leaves(value, prefix)
            )
    else:
        yield prefix, str(detail)
