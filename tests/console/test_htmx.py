"""One view, two answers; versions, toasts, errors."""

from __future__ import annotations

import json

import pytest
from django.http import Http404, HttpResponse
from django.test import RequestFactory

from dialer_platform.console import htmx
from dialer_platform.errors import Conflict, NotFound

HTMX = {"HX-Request": "true"}


def request(**headers: str):
    """Return a GET request with headers."""
    return RequestFactory().get("/", headers=headers)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        (HTMX, True),
        (HTMX | {"HX-Boosted": "true"}, False),
        (HTMX | {"HX-History-Restore-Request": "true"}, False),
    ],
)
def test_fragment_is_asked_for_by_htmx_alone(headers, expected):
    assert htmx.is_fragment(request(**headers)) is expected


def fragment(**headers: str):
    """Answer with a small partial."""
    return htmx.render_fragment(
        request(**HTMX, **headers), "console/_toast.html", {"text": "a", "tone": ""}
    )


def test_unchanged_fragment_is_a_204():
    version = fragment().headers[htmx.VERSION_HEADER]
    again = fragment(**{htmx.VERSION_HEADER: version})
    assert (again.status_code, again.content) == (204, b"")


def test_changed_fragment_is_sent_with_its_version():
    response = fragment(**{htmx.VERSION_HEADER: "older"})
    assert response.status_code == 200
    assert len(response.headers[htmx.VERSION_HEADER]) == 16


def test_caches_keep_page_and_fragment_apart():
    assert "HX-Request" in fragment().headers["Vary"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<time data-relative datetime="x">1 s ago</time>', "2 s ago"),
        ('<span data-since="x">1 s</span>', "2 s"),
    ],
)
def test_version_ignores_ticking_times(before, after):
    changed = before.replace("1 s ago", after).replace(">1 s<", f">{after}<")
    assert changed != before
    assert htmx.version_of(before) == htmx.version_of(changed)


def test_version_ignores_masked_tokens_but_not_values():
    token = '<input type="hidden" name="csrfmiddlewaretoken" value="{}">'
    assert htmx.version_of(token.format("a")) == htmx.version_of(token.format("b"))
    assert htmx.version_of('<input value="a">') != htmx.version_of('<input value="b">')


def test_toast_joins_other_events():
    response = htmx.trigger(HttpResponse(), "dialog:close")
    htmx.toast(response, "取消了", "failed")
    events = json.loads(response.headers["HX-Trigger"])
    assert events == {"dialog:close": None, "toast": {"text": "取消了", "tone": "failed"}}


@htmx.answers_errors
def refusing(request):
    """Refuse as a service does."""
    raise Conflict("Somebody was first.")


def test_refusal_is_a_toast_when_htmx_asked():
    response = refusing(request(**HTMX))
    assert response.status_code == 409
    assert "Somebody was first." in response.headers["HX-Trigger"]


def test_missing_object_is_a_404():
    @htmx.answers_errors
    def missing(request):
        raise NotFound("gone")

    with pytest.raises(Http404):
        missing(request(**HTMX))


def test_foreign_referer_is_not_followed():
    foreign = RequestFactory().post("/", headers={"Referer": "https://evil.example/"})
    assert htmx._safe_back(foreign, "/tasks/") == "/tasks/"
