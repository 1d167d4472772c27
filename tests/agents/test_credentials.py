"""Credentials: cached for a minute, forgotten at once when revoked, also from elsewhere."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents import credentials, hot, revocations
from agents.models import Agent
from agents.services.main_agents import revoke_agent
from dialer_platform.errors import Unauthenticated
from tests.agents import wire

pytestmark = pytest.mark.django_db(transaction=True)


async def code_of(token: str) -> str:
    """Return why a token is refused."""
    with pytest.raises(Unauthenticated) as caught:
        await credentials.authenticate(token)
    return caught.value.code


async def test_token_names_its_agent_and_tenant(enrolled):
    principal = await credentials.authenticate(enrolled[1])
    assert (principal.agent_id, principal.tenant_id) == (enrolled[0].id, "default")


@pytest.mark.parametrize("token", ["", "x", "dpa_a_b_c", "dpu_x", "\udcff", "x" * 100_000])
async def test_nonsense_is_refused(tenant, token):
    assert await code_of(token) == "invalid_token"


async def test_wrong_secret_with_a_right_checksum_is_refused(enrolled):
    await Agent.objects.aupdate(token_sha256="0" * 64)
    assert await code_of(enrolled[1]) == "invalid_token"


async def test_second_call_asks_no_database(enrolled, monkeypatch):
    first = await credentials.authenticate(enrolled[1])
    monkeypatch.setattr(credentials, "look_up", lambda token: pytest.fail("asked again"))
    assert await credentials.authenticate(enrolled[1]) == first


async def test_cached_answer_ends_after_a_minute(enrolled, monkeypatch):
    await credentials.authenticate(enrolled[1])
    await Agent.objects.aupdate(revoked_at=timezone.now())
    later = credentials.time.monotonic() + credentials.CACHE_SECONDS + 1
    monkeypatch.setattr(credentials.time, "monotonic", lambda: later)
    assert await code_of(enrolled[1]) == "revoked_token"


async def test_revocation_in_this_process_holds_at_once(enrolled):
    await credentials.authenticate(enrolled[1])
    await sync_to_async(revoke_agent)(enrolled[0], by="x")
    assert await code_of(enrolled[1]) == "revoked_token"


async def test_revocation_elsewhere_is_found_by_the_next_look(enrolled):
    principal = await credentials.authenticate(enrolled[1])
    hot.note_beat(principal, wire.beat(principal.agent_id))
    await Agent.objects.aupdate(revoked_at=timezone.now())
    assert await sync_to_async(revocations.enforce)() == [principal.agent_id]
    assert await code_of(enrolled[1]) == "revoked_token"
    assert hot.snapshot(principal.agent_id) is None


async def test_revocation_is_enforced_once(enrolled):
    await Agent.objects.aupdate(revoked_at=timezone.now())
    assert len(await sync_to_async(revocations.enforce)()) == 1
    assert await sync_to_async(revocations.enforce)() == []


async def test_answer_that_was_looked_up_before_a_revocation_is_not_kept(enrolled, monkeypatch):
    look_up = credentials.look_up

    def slow(token: str) -> credentials.Verdict:
        verdict = look_up(token)
        revoke_agent(enrolled[0], by="x")
        return verdict

    with monkeypatch.context() as patch:
        patch.setattr(credentials, "look_up", slow)
        await credentials.authenticate(enrolled[1])
    assert await code_of(enrolled[1]) == "revoked_token"
