"""Every failure under /api/ is answered with the API's error object."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions

from dialer_platform import errors
from dialer_platform.api.errors import exception_handler, field_errors, first_sentence

DOMAIN = [
    (errors.Invalid, 400, "invalid"),
    (errors.Unauthenticated, 401, "unauthenticated"),
    (errors.Forbidden, 403, "forbidden"),
    (errors.NotFound, 404, "not_found"),
    (errors.Conflict, 409, "conflict"),
    (errors.TooLarge, 413, "too_large"),
    (errors.TooMany, 429, "too_many"),
    (errors.Unavailable, 503, "unavailable"),
]
OTHERS = [
    (Http404("secret detail"), 404, "not_found"),
    (PermissionDenied(), 403, "forbidden"),
    (RequestDataTooBig(), 413, "too_large"),
    (exceptions.ParseError(), 400, "malformed"),
    (exceptions.NotAuthenticated(), 401, "unauthenticated"),
    (exceptions.AuthenticationFailed(), 401, "unauthenticated"),
    (exceptions.PermissionDenied(), 403, "forbidden"),
    (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
    (exceptions.NotAcceptable(), 406, "not_acceptable"),
    (exceptions.UnsupportedMediaType("x/y"), 415, "unsupported_media_type"),
    (exceptions.Throttled(wait=7), 429, "too_many"),
]


def answer(error: Exception):
    """Return what the handler makes of an error."""
    response = exception_handler(error, {})
    assert response is not None
    assert set(response.data) == {"code", "detail", "fields"}
    assert response.data["detail"]
    return response


@pytest.mark.parametrize(("kind", "status", "code"), DOMAIN)
def test_domain_error_keeps_status_code_and_fields(kind, status, code):
    response = answer(kind("A sentence.", fields={"name": ["Wrong."]}))
    assert (response.status_code, response.data["code"]) == (status, code)
    assert response.data["fields"] == {"name": ["Wrong."]}


@pytest.mark.parametrize(("error", "status", "code"), OTHERS, ids=lambda value: str(value))
def test_library_error_gets_a_stable_code(error, status, code):
    response = answer(error)
    assert (response.status_code, response.data["code"]) == (status, code)


def test_internals_stay_inside_when_something_is_missing():
    assert "secret" not in str(answer(Http404("secret detail")).data)


def test_unexpected_error_is_left_to_the_500_page():
    assert exception_handler(RuntimeError("boom"), {}) is None


def test_throttled_caller_learns_when_to_come_back():
    assert answer(exceptions.Throttled(wait=7))["Retry-After"] == "7"


def test_unauthenticated_answer_carries_a_challenge():
    assert "Bearer" in answer(errors.Unauthenticated("Who?"))["WWW-Authenticate"]


def test_validation_error_is_flattened_by_field():
    detail = {
        "name": ["Required."],
        "env": {"A B": ["Not a name."]},
        "non_field_errors": ["Together impossible."],
    }
    assert field_errors(detail) == {
        "name": ["Required."],
        "env.A B": ["Not a name."],
        "body": ["Together impossible."],
    }


def test_rows_of_a_batch_are_numbered():
    detail = [{}, {"name": ["Required.", "Really."]}]
    assert field_errors(detail) == {"1.name": ["Required.", "Really."]}


def test_bare_sentence_is_about_the_body():
    fields = field_errors(["Expected a list."])
    assert (fields, first_sentence(fields)) == ({"body": ["Expected a list."]}, "Expected a list.")


@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing", "/api/v9/tasks/"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_unknown_api_path_is_a_json_404(db, client, path, method):
    response = getattr(client, method)(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_unsupported_method_is_a_json_405(api_client, viewer_user):
    response = api_client(viewer_user).put("/api/v1/tokens/", {}, format="json")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


def test_broken_json_is_a_400(api_client, viewer_user):
    response = api_client(viewer_user).post(
        "/api/v1/tokens/", "{not json", content_type="application/json"
    )
    assert (response.status_code, response.json()["code"]) == (400, "malformed")


def test_deeply_nested_json_is_a_400(api_client, viewer_user):
    response = api_client(viewer_user).post(
        "/api/v1/tokens/", "[" * 100_000, content_type="application/json"
    )
    assert (response.status_code, response.json()["code"]) == (400, "malformed")


def test_crash_in_a_view_is_a_json_500_without_internals(
    api_client, viewer_user, monkeypatch, client
):
    from dialer_platform.accounts.api.tokens import TokenViewSet

    def crash(self):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(TokenViewSet, "get_queryset", crash)
    caller = api_client(viewer_user)
    caller.raise_request_exception = False
    response = caller.get("/api/v1/tokens/")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert b"hunter2" not in response.content
