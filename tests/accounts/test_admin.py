"""The admin: for superusers only, audit and secrets out of reach."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse

from dialer_platform.accounts.models import ApiToken, AuditEvent, Membership, User
from dialer_platform.accounts.services import audit, tokens

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def rows(tenant, admin_user):
    """Make one row of everything this app shows."""
    token, _ = tokens.create_token(user=admin_user, tenant=tenant, by="test")
    return {"token": token, "event": audit.record("test", "thing.done", token)}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_list_opens_and_searches(model, page_client, superuser, rows):
    client = page_client(superuser)
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    assert client.get(url).status_code == 200
    assert client.get(url, {"q": "a"}).status_code == 200


@pytest.mark.parametrize("name", ["admin_user", "operator_user", "viewer_user", "stranger"])
def test_only_superusers_enter(request, page_client, name):
    client = page_client(request.getfixturevalue(name))
    assert client.get(reverse("admin:accounts_auditevent_changelist")).status_code in (302, 403)
    assert client.get(reverse("admin:login")).status_code == 403


def test_admin_has_no_login_page_of_its_own(client):
    assert client.get(reverse("admin:login"))["Location"].startswith("/accounts/login/")
    assert client.post(reverse("admin:login"), {"username": "a"}).status_code == 302


@pytest.mark.parametrize("verb", ["add", "change", "delete"])
def test_audit_trail_can_only_be_read(page_client, superuser, rows, verb):
    client = page_client(superuser)
    args = () if verb == "add" else (rows["event"].pk,)
    answer = client.post(reverse(f"admin:accounts_auditevent_{verb}", args=args), {"post": "yes"})
    assert answer.status_code == 403
    assert AuditEvent.objects.filter(pk=rows["event"].pk, action="thing.done").exists()


def test_secrets_are_not_shown(page_client, superuser, rows):
    url = reverse("admin:accounts_apitoken_change", args=(rows["token"].pk,))
    assert rows["token"].secret_sha256 not in page_client(superuser).get(url).content.decode()


def test_tokens_are_revoked_by_the_service(page_client, superuser, rows):
    url = reverse("admin:accounts_apitoken_changelist")
    body = {"action": "revoke", "_selected_action": [rows["token"].pk]}
    assert page_client(superuser).post(url, body).status_code == 302
    assert ApiToken.objects.get().revoked_at is not None
    assert AuditEvent.objects.filter(action="token.revoked", actor="root").exists()


def test_people_list_needs_the_same_queries_for_many_people(
    page_client, superuser, tenant, django_assert_max_num_queries
):
    for number in range(12):
        user = User.objects.create(username=f"u{number}")
        Membership.objects.create(user=user, tenant=tenant, role="viewer")
    client = page_client(superuser)
    with django_assert_max_num_queries(14):
        client.get(reverse("admin:accounts_user_changelist"))
