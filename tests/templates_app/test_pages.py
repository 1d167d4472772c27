"""Pages of templates: list, form, delete; what each role sees."""

from __future__ import annotations

import pytest

from templates_app.models import Template


@pytest.fixture
def template(tenant) -> Template:
    """Return a template of the default tenant."""
    return Template.objects.create(tenant=tenant, name="sweep", script_content="echo '<b>'")


def test_list_shows_rows_with_their_hook(page_client, viewer_user, template):
    html = page_client(viewer_user).get("/templates/").content.decode()
    assert f'data-testid="template-row-{template.pk}"' in html
    assert "New task from this" not in html


def test_empty_list_says_what_to_do(page_client, admin_user, viewer_user):
    assert b"No template yet" in page_client(viewer_user).get("/templates/").content
    assert b"/templates/new/" in page_client(admin_user).get("/templates/").content


def test_list_is_searched_as_a_fragment(page_client, viewer_user, template):
    client = page_client(viewer_user)
    html = client.get("/templates/?q=nothing", headers={"HX-Request": "true"}).content.decode()
    assert "Nothing matches" in html
    assert "<html" not in html


def test_template_is_made_by_the_form(page_client, admin_user):
    data = {"name": "mine", "script_content": "x = 1", "script_type": "python"}
    response = page_client(admin_user).post("/templates/new/", data)
    assert response.headers["Location"] == "/templates/"
    assert Template.objects.get().script_type == "python"


def test_language_is_shell_when_none_is_chosen(page_client, admin_user):
    page_client(admin_user).post("/templates/new/", {"name": "mine", "script_content": "true"})
    assert Template.objects.get().script_type == "shell"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"name": "", "script_content": "x"}, "This field is required."),
        ({"name": "sweep", "script_content": "x"}, "Another template has this name."),
        ({"name": "a", "script_content": " "}, "Required."),
    ],
)
def test_error_stands_beside_its_field(page_client, admin_user, template, data, sentence):
    response = page_client(admin_user).post("/templates/new/", data)
    assert response.status_code == 422
    assert 'class="error" ' in response.content.decode()
    assert sentence in response.content.decode()


def test_form_keeps_what_was_typed_when_it_is_wrong(page_client, admin_user):
    data = {"name": "", "script_content": "echo keep me", "script_type": "shell"}
    assert b"echo keep me" in page_client(admin_user).post("/templates/new/", data).content


def test_template_is_changed_by_the_form(page_client, admin_user, template):
    data = {"name": "sweep", "script_content": "echo new", "script_type": "shell"}
    page_client(admin_user).post(template.get_absolute_url(), data)
    template.refresh_from_db()
    assert template.script_content == "echo new"


def test_script_is_escaped_in_the_form(page_client, viewer_user, template):
    html = page_client(viewer_user).get(template.get_absolute_url()).content.decode()
    assert "&lt;b&gt;" in html


def test_viewer_reads_without_a_save_button(page_client, viewer_user, template):
    html = page_client(viewer_user).get(template.get_absolute_url()).content.decode()
    assert "Save" not in html
    assert "template-delete" not in html


@pytest.mark.parametrize("path", ["/templates/new/", "/templates/{pk}/", "/templates/{pk}/delete/"])
def test_operator_may_not_write(page_client, operator_user, template, path):
    data = {"name": "a", "script_content": "b"}
    response = page_client(operator_user).post(path.format(pk=template.pk), data)
    assert response.status_code == 403
    assert Template.objects.get().name == "sweep"


def test_template_is_deleted(page_client, admin_user, template):
    page_client(admin_user).post(f"/templates/{template.pk}/delete/")
    assert not Template.objects.exists()


@pytest.mark.parametrize("path", ["/templates/{pk}/", "/templates/{pk}/delete/"])
def test_foreign_template_is_missing(page_client, stranger, template, path):
    response = page_client(stranger).post(path.format(pk=template.pk), {})
    assert response.status_code == 404


def test_admin_site_changes_templates_by_the_service(page_client, superuser, template):
    client = page_client(superuser)
    url = f"/admin/templates_app/template/{template.pk}/change/"
    data = {"name": "renamed", "script_type": "shell", "script_content": "x", "description": ""}
    assert client.post(url, data).status_code == 302
    template.refresh_from_db()
    assert template.name == "renamed"


def test_admin_site_lists_and_makes_templates(page_client, superuser, template, tenant):
    client = page_client(superuser)
    assert b"sweep" in client.get("/admin/templates_app/template/").content
    data = {"tenant": "default", "name": "new", "script_type": "shell", "script_content": "x"}
    client.post("/admin/templates_app/template/add/", data)
    assert Template.objects.filter(name="new").exists()
