"""Templates in the admin: what the service refuses is said in the form, and nothing is saved."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from templates_app.models import Template

ADD = reverse("admin:templates_app_template_add")
TOO_LONG = "#" * (1024 * 1024 + 1)
WORDS = {"tenant": "default", "name": "mine", "script_type": "shell", "script_content": "true"}


@pytest.fixture
def client(page_client, superuser) -> Client:
    """Return the owner of the installation."""
    return page_client(superuser)


@pytest.fixture
def template(tenant) -> Template:
    """Return a template of the default tenant."""
    return Template.objects.create(tenant=tenant, name="sweep", script_content="true")


def test_template_is_made_by_the_service(client):
    page = client.post(ADD, WORDS, follow=True).content.decode()
    assert "was added successfully" in page
    assert Template.objects.get().created_by.username == "root"


def test_refused_template_is_not_added_and_the_form_says_why(client):
    response = client.post(ADD, {**WORDS, "script_content": TOO_LONG}, follow=True)
    form = response.context["adminform"].form
    assert form.errors == {"script_content": ["The script is larger than 1 MiB."]}
    assert form["name"].value() == "mine"
    assert "successfully" not in response.content.decode()
    assert not Template.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"), [({"script_content": TOO_LONG}, "script_content"), ({}, "name")]
)
def test_refused_change_is_not_kept_and_the_form_says_why(client, template, changes, field):
    Template.objects.create(tenant=template.tenant, name="mine", script_content="true")
    url = reverse("admin:templates_app_template_change", args=(template.pk,))
    response = client.post(url, {**WORDS, **changes}, follow=True)
    assert list(response.context["adminform"].form.errors) == [field]
    assert "successfully" not in response.content.decode()
    template.refresh_from_db()
    assert (template.name, template.script_content) == ("sweep", "true")
