"""Enrolment: one use is one host, a lost answer may be asked for again, secrets stay secret."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from agents import credentials
from agents.inbox import AgentPrincipal, Beat, Reply
from agents.models import Agent, EnrolmentToken
from agents.services import presence
from agents.services.enrolment import create_enrolment_token, register
from agents.services.main_agents import revoke_agent
from dialer_platform.accounts.models import AuditEvent
from dialer_platform.errors import Invalid, Unauthenticated
from dialer_platform.quotas import QuotaExceeded
from tests.agents import wire
from tests.agents.asgi_client import call

PATH = "/api/v1/agents/register/"


@pytest.fixture
def token(tenant) -> str:
    """Return the text of a token with one use."""
    return create_enrolment_token(actor="test", tenant=tenant)[1]


def join(token: str, instance_id: str = "i-1", name: str = "worker"):
    """Register a host."""
    return register(token=token, name=name, instance_id=instance_id, system={"os": "Linux"})


@pytest.mark.django_db
def test_token_is_kept_as_a_digest_only(token):
    secret = token.split("_")[2]
    row = EnrolmentToken.objects.get()
    assert secret not in "".join(str(value) for value in row.__dict__.values())
    assert AuditEvent.objects.filter(action="enrolment_token.create").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_uses", 0),
        ("max_uses", 1001),
        ("valid_seconds", 0),
        ("valid_seconds", 10**9),
        ("labels", {"": "x"}),
        ("labels", {"a": "x" * 64}),
        ("labels", {str(n): "x" for n in range(33)}),
    ],
)
def test_wrong_bounds_of_a_token_are_named(tenant, field, value):
    with pytest.raises(Invalid) as caught:
        create_enrolment_token(actor="test", tenant=tenant, **{field: value})
    assert list(caught.value.fields) == [field]


@pytest.mark.django_db
def test_host_gets_the_labels_and_the_tenant_of_its_token(other_tenant):
    _, text = create_enrolment_token(actor="x", tenant=other_tenant, labels={"site": "a"})
    agent = join(text).agent
    assert (agent.tenant_id, agent.labels) == ("other", {"site": "a"})
    assert agent.system == {"os": "Linux"}


@pytest.mark.django_db
def test_used_token_is_refused(token):
    join(token, "i-1")
    with pytest.raises(Unauthenticated) as caught:
        join(token, "i-2")
    assert caught.value.code == "used_enrolment_token"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "expired_enrolment_token"),
        ({"revoked_at": timezone.now()}, "revoked_enrolment_token"),
        ({"secret_sha256": "0" * 64}, "invalid_enrolment_token"),
    ],
)
def test_token_that_is_not_valid_is_refused(token, change, code):
    EnrolmentToken.objects.update(**change)
    with pytest.raises(Unauthenticated) as caught:
        join(token)
    assert caught.value.code == code
    assert not Agent.objects.exists()


@pytest.mark.django_db
def test_asking_again_before_the_first_use_gives_the_same_host(token):
    first, second = join(token), join(token)
    assert (first.agent.id, second.is_new) == (second.agent.id, False)
    assert credentials.look_up(first.agent_token) == "invalid_token"
    assert credentials.look_up(second.agent_token).agent_id == first.agent.id


@pytest.mark.django_db
def test_asking_again_after_the_first_use_is_refused(token):
    agent = join(token).agent
    speaker = AgentPrincipal(agent.id, agent.tenant_id)
    presence.show_online([Beat(speaker, wire.beat(agent.id), None, Reply())])
    with pytest.raises(Unauthenticated):
        join(token)


@pytest.mark.django_db
def test_instance_of_another_tenant_is_not_given_away(token, other_tenant):
    mine = join(token).agent
    _, text = create_enrolment_token(actor="x", tenant=other_tenant)
    assert join(text).agent.id != mine.id


@pytest.mark.django_db(transaction=True)
def test_hundred_at_once_on_one_use_make_exactly_one_host(token):
    def attempt(number: int) -> bool:
        try:
            join(token, f"i-{number}")
            return True
        except Unauthenticated:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(attempt, range(100))) == 1
    assert Agent.objects.count() == 1
    assert EnrolmentToken.objects.get().uses == 1


# --- over HTTP ----------------------------------------------------------------


def body(token: str, **changes) -> dict[str, object]:
    """Return a registration's body."""
    return {"enroll_token": token, "name": "w", "instance_id": "i-1", "system": {}, **changes}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [PATH, "/api/agents/register/"])
async def test_registration_answers_id_token_and_pace(token, path):
    answer = await call("POST", path, body(token))
    assert answer.status == 201
    assert answer.json()["agent_token"].startswith("dpa_")
    assert answer.json()["heartbeat_interval"] == 2.0
    assert (await call("POST", path, body(token))).status == 200


@pytest.mark.django_db(transaction=True)
async def test_registration_with_a_wrong_token_is_401(tenant):
    assert (await call("POST", PATH, body("dpe_x_y_z"))).status == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"instance_id": 7}, "instance_id"),
        ({"instance_id": "a\0b"}, "instance_id"),
        ({"enroll_token": None}, "enroll_token"),
        ({"system": []}, None),
        ({"system": [1]}, "system"),
    ],
)
async def test_wrong_field_of_a_registration_is_named(token, change, field):
    answer = await call("POST", PATH, body(token, **change))
    assert answer.status == (400 if field else 201)
    assert field is None or field in answer.json()["fields"]


@pytest.mark.django_db(transaction=True)
async def test_registration_that_is_too_long_is_413(token):
    answer = await call("POST", PATH, body(token, system={"x": "y" * 70_000}))
    assert answer.status == 413


@pytest.mark.django_db
def test_tenant_with_all_its_hosts_may_add_none_and_keeps_the_token(settings, tenant, enrol):
    settings.MAX_AGENTS_PER_TENANT = 1
    host, _ = enrol()
    token, text = create_enrolment_token(actor="x", tenant=tenant)
    with pytest.raises(QuotaExceeded, match="DIALER_MAX_AGENTS_PER_TENANT"):
        register(token=text, name="one more", instance_id="i-9")
    token.refresh_from_db()
    assert token.uses == 0
    revoke_agent(host, by="x")
    assert register(token=text, name="one more", instance_id="i-9").is_new


@pytest.mark.django_db
def test_enrolment_tokens_in_force_are_limited(settings, tenant):
    settings.MAX_ENROLMENT_TOKENS_PER_TENANT = 1
    token, _ = create_enrolment_token(actor="x", tenant=tenant)
    with pytest.raises(QuotaExceeded) as caught:
        create_enrolment_token(actor="x", tenant=tenant)
    assert list(caught.value.fields) == ["enrolment_tokens"]
    EnrolmentToken.objects.filter(pk=token.pk).update(uses=1)
    create_enrolment_token(actor="x", tenant=tenant)
