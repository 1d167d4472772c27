"""API tokens: made once, checked on every request, ended at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from dialer_platform.accounts import authentication
from dialer_platform.accounts.choices import Role, Scope
from dialer_platform.accounts.models import ApiToken, AuditEvent
from dialer_platform.accounts.services import tokens
from dialer_platform.errors import Conflict
from dialer_platform.quotas import QuotaExceeded

URL = "/api/v1/tokens/"


@pytest.fixture(autouse=True)
def _empty_cache():
    """Begin every test with a database look-up."""
    authentication.cache.clear()


@pytest.fixture
def make(admin_user, tenant):
    """Return a function that makes a token of the administrator."""

    def make(**options):
        return tokens.create_token(user=admin_user, tenant=tenant, by="test", **options)

    return make


def call(text: str, method: str = "get", **options):
    """Call the API with a token."""
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {text}")
    return getattr(client, method)(options.pop("url", URL), format="json", **options)


def test_token_opens_the_api(make):
    assert call(make()[1]).status_code == 200


def test_secret_is_nowhere_in_the_database(make):
    token, text = make()
    secret = text.split("_")[2]
    row = ApiToken.objects.values().get(pk=token.pk)
    assert secret not in str(row)
    assert not AuditEvent.objects.filter(detail__icontains=secret).exists()


def test_token_expires_after_90_days_by_default(make):
    life = make()[0].expires_at - timezone.now()
    assert timedelta(days=89) < life <= timedelta(days=90)


@pytest.mark.parametrize("text", ["", "dpu_", "nonsense", "dpa_a_b_c", "dpu_a_b_00000000"])
def test_malformed_token_is_401(db, text):
    answer = call(text)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"
    assert "Bearer" in answer["WWW-Authenticate"]


def test_wrong_secret_is_401(make):
    one, two = make()[1].split("_"), make()[1].split("_")
    from dialer_platform.accounts.secrets import _checksum

    mixed = f"dpu_{one[1]}_{two[2]}"
    assert call(f"{mixed}_{_checksum(mixed)}").status_code == 401


def test_other_scheme_is_401(make):
    client = APIClient(HTTP_AUTHORIZATION=f"Token {make()[1]}")
    assert client.get(URL).status_code == 401


def test_expired_token_is_401(make):
    token, text = make()
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    assert call(text).status_code == 401


def test_token_of_a_disabled_user_is_401(make, admin_user):
    _, text = make()
    admin_user.is_active = False
    admin_user.save()
    assert call(text).status_code == 401


def test_token_of_a_former_member_is_401(make, admin_user):
    _, text = make()
    admin_user.memberships.all().delete()
    assert call(text).status_code == 401


def test_revoked_token_is_401_when_the_cache_is_old(make, monkeypatch):
    token, text = make()
    assert call(text).status_code == 200
    tokens.revoke_token(token, by="test")
    later = authentication.time.monotonic() + authentication.FRESH_SECONDS + 0.1
    monkeypatch.setattr(authentication.time, "monotonic", lambda: later)
    assert call(text).status_code == 401


def test_revoking_twice_is_a_conflict(make):
    token, _ = make()
    tokens.revoke_token(token, by="test")
    with pytest.raises(Conflict):
        tokens.revoke_token(token, by="test")


def test_second_request_costs_no_look_up(make, django_assert_num_queries):
    _, text = make()
    call(text)
    with django_assert_num_queries(0):
        assert authentication.principal_by_token(text) is not None


def test_use_is_noted_once_in_a_while(make):
    token, text = make()
    call(text)
    first = ApiToken.objects.get(pk=token.pk).last_used_at
    authentication.cache.clear()
    call(text)
    assert first is not None
    assert ApiToken.objects.get(pk=token.pk).last_used_at == first


def test_cookie_is_ignored_when_a_token_is_sent(make, admin_user):
    client = APIClient(HTTP_AUTHORIZATION="Bearer dpu_wrong")
    client.force_login(admin_user)
    assert client.get(URL).status_code == 401


def test_token_needs_no_csrf_but_a_session_does(make, admin_user):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(URL, {}, format="json").status_code == 403
    assert call(make()[1], "post", data={}).status_code == 201


def test_person_makes_lists_and_revokes_their_tokens(api_client, admin_user):
    client = api_client(admin_user)
    made = client.post(URL, {"name": "ci", "scope": "read"}, format="json")
    assert made.status_code == 201
    assert made.json()["token"].startswith("dpu_")
    listed = client.get(URL).json()["results"]
    assert [row["name"] for row in listed] == ["ci"]
    assert "token" not in listed[0]
    url = f"{URL}{made.json()['id']}/"
    assert client.delete(url).status_code == 204
    assert client.delete(url).status_code == 409


def test_person_sees_nobody_elses_tokens(api_client, make, operator_user, stranger):
    token, _ = make()
    for user in (operator_user, stranger):
        assert api_client(user).get(URL).json()["count"] == 0
        assert api_client(user).delete(f"{URL}{token.pk}/").status_code == 404


@pytest.mark.parametrize("scope", [Scope.READ, Scope.OPERATE])
def test_narrowed_token_cannot_make_tokens(make, scope):
    _, text = make(scope=scope)
    assert call(text).status_code == 200
    assert call(text, "post", data={"scope": "admin"}).status_code == 403


def test_owner_tenant_and_secret_cannot_be_chosen(api_client, operator_user, admin_user):
    body = {"user": admin_user.pk, "tenant": "other", "public_id": "x", "role": Role.ADMIN}
    made = api_client(operator_user).post(URL, body, format="json").json()
    token = ApiToken.objects.get(pk=made["id"])
    assert (token.user, token.tenant_id) == (operator_user, "default")
    assert token.public_id != "x"


@pytest.mark.parametrize(
    ("body", "field"),
    [({"scope": "root"}, "scope"), ({"life_days": 0}, "life_days"), ({"name": "x" * 101}, "name")],
)
def test_wrong_wish_names_the_field(api_client, admin_user, body, field):
    answer = api_client(admin_user).post(URL, body, format="json")
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


def test_cache_drops_the_oldest_when_full(principal):
    cache = authentication.PrincipalCache(limit=2)
    for key in "abc":
        cache.put(key, principal)
    assert [cache.get(key) is not None for key in "abc"] == [False, True, True]


def test_all_tokens_of_a_person_end_at_once(make, superuser, tenant):
    texts = [make(name=name)[1] for name in ("a", "b")]
    other = tokens.create_token(user=superuser, tenant=tenant, by="test")[1]
    answer = call(texts[0], "post", url=f"{URL}revoke_all/")
    assert (answer.status_code, answer.json()) == (200, {"revoked": 2})
    authentication.cache.clear()  # it remembers for a few seconds
    assert [call(text).status_code for text in (*texts, other)] == [401, 401, 200]
    assert AuditEvent.objects.filter(action="token.revoked").count() == 2


def test_narrowed_token_cannot_end_the_others(make):
    text = make(scope=Scope.READ)[1]
    assert call(text, "post", url=f"{URL}revoke_all/").status_code == 403
    assert ApiToken.objects.filter(revoked_at__isnull=False).count() == 0


def test_new_password_ends_sessions_and_leaves_tokens(make, admin_user, page_client):
    text = make()[1]
    browser = page_client(admin_user)
    assert browser.get("/").status_code == 200
    admin_user.set_password("another long password 42")
    admin_user.save()
    assert browser.get("/").status_code == 302
    assert call(text).status_code == 200


def test_admin_says_that_tokens_stay_and_ends_them_on_request(make, superuser, admin_user, client):
    make()
    client.force_login(superuser)
    page = client.get(f"/admin/accounts/user/{admin_user.pk}/change/").content.decode()
    assert "API tokens stay in force" in page
    body = {"action": "revoke_tokens", "_selected_action": [admin_user.pk]}
    client.post("/admin/accounts/user/", body)
    assert ApiToken.objects.filter(revoked_at__isnull=True).count() == 0


@pytest.mark.django_db
def test_tokens_of_a_person_are_limited(settings, admin_user, make):
    settings.MAX_TOKENS_PER_USER = 1
    token, _ = make()
    with pytest.raises(QuotaExceeded, match="DIALER_MAX_TOKENS_PER_USER"):
        make()
    with pytest.raises(CommandError, match="API tokens in force"):
        call_command("token", admin_user.get_username())
    tokens.revoke_token(token, by="x")
    make()
