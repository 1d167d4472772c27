"""REST of templates: CRUD by role, errors by field, tenants apart."""

from __future__ import annotations

import pytest

from templates_app.models import Template

URL = "/api/v1/templates/"
BODY = {"name": "sweep", "script_content": "echo 1\n"}


@pytest.fixture
def template(tenant) -> Template:
    """Return a template of the default tenant."""
    return Template.objects.create(tenant=tenant, **BODY)


def test_template_is_made(api_client, admin_user):
    response = api_client(admin_user).post(URL, BODY, format="json")
    assert response.status_code == 201
    facts = response.json()
    assert facts["script_content"] == "echo 1\n"
    assert facts["script_type"] == "shell"
    assert facts["created_by"] == "alice"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a"}, "script_content"),
        ({"script_content": "a"}, "name"),
        (BODY | {"script_type": "ruby"}, "script_type"),
        (BODY | {"name": "x" * 101}, "name"),
    ],
)
def test_wrong_body_names_the_field(api_client, admin_user, body, field):
    response = api_client(admin_user).post(URL, body, format="json")
    assert response.status_code == 400
    assert field in response.json()["fields"]


def test_large_script_is_a_413(api_client, admin_user, settings):
    settings.MAX_SCRIPT_BYTES = 10
    response = api_client(admin_user).post(URL, BODY | {"script_content": "x" * 11}, format="json")
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_taken_name_is_a_409(api_client, admin_user, template):
    response = api_client(admin_user).post(URL, BODY, format="json")
    assert (response.status_code, response.json()["code"]) == (409, "name_taken")


def test_operator_reads_and_does_not_write(api_client, operator_user, template):
    client = api_client(operator_user)
    assert client.get(f"{URL}{template.pk}/").json()["name"] == "sweep"
    assert client.post(URL, BODY | {"name": "b"}, format="json").status_code == 403
    assert client.delete(f"{URL}{template.pk}/").status_code == 403


def test_part_of_a_template_is_changed(api_client, admin_user, template):
    response = api_client(admin_user).patch(
        f"{URL}{template.pk}/", {"description": "cleans"}, format="json"
    )
    assert response.json()["description"] == "cleans"
    assert response.json()["script_content"] == BODY["script_content"]


def test_template_is_deleted(api_client, admin_user, template):
    assert api_client(admin_user).delete(f"{URL}{template.pk}/").status_code == 204
    assert not Template.objects.exists()


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_foreign_template_is_missing(api_client, stranger, template, method):
    response = getattr(api_client(stranger), method)(f"{URL}{template.pk}/")
    assert response.status_code == 404


def test_list_is_filtered(api_client, viewer_user, tenant, template):
    Template.objects.create(tenant=tenant, name="other", script_content="pip")
    client = api_client(viewer_user)
    assert client.get(URL).json()["count"] == 2
    assert [row["name"] for row in client.get(f"{URL}?name=SWE").json()["results"]] == ["sweep"]
    assert [row["name"] for row in client.get(f"{URL}?q=pip").json()["results"]] == ["other"]
