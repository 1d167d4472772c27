"""The OpenAPI schema: complete, valid, without a warning."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from dialer_platform.api import schema as schema_module

METHODS = {"get", "put", "post", "delete", "patch"}


def test_schema_has_no_warnings(db):
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


@pytest.fixture
def schema(api_client, viewer_user):
    """Return the schema as the API answers it."""
    response = api_client(viewer_user).get("/api/v1/schema/")
    assert response.status_code == 200
    return response.json()


def test_schema_is_made_once(api_client, viewer_user, schema, monkeypatch):
    monkeypatch.setattr(schema_module.SchemaGenerator, "get_schema", None)
    assert api_client(viewer_user).get("/api/v1/schema/").json() == schema


def test_every_operation_says_how_it_fails(schema):
    bare = [
        f"{method} {path}"
        for path, item in schema["paths"].items()
        for method in METHODS & set(item)
        if not {"400", "401", "403", "404"} <= set(item[method]["responses"])
    ]
    assert not bare


def test_both_credentials_are_described(schema):
    assert {"token", "session"} <= set(schema["components"]["securitySchemes"])


def test_schema_is_closed_to_strangers(client, db):
    response = client.get("/api/v1/schema/")
    assert (response.status_code, response["Content-Type"]) == (401, "application/json")


def test_writer_of_a_starter_template_may_be_nobody(schema):
    assert schema["components"]["schemas"]["Template"]["properties"]["created_by"]["nullable"]


def test_browsable_api_opens_without_inline_script(api_client, viewer_user):
    page = api_client(viewer_user).get("/api/v1/tokens/", HTTP_ACCEPT="text/html")
    text = page.content.decode()
    assert page.status_code == 200
    assert "<style" not in text
    assert " onclick=" not in text
    scripts = [part.split(">")[0] for part in text.split("<script")[1:]]
    assert all("src=" in script or "application/json" in script for script in scripts)
