"""What a server process of this app starts, listens to and tells."""

from __future__ import annotations

import pytest
from django.db import transaction

from agent_client.protocol.messages import Hello
from agents import delivery, events, inbox, offload, wiring
from dialer_platform import runtime
from dialer_platform.console import live, relay


def test_services_start_the_inbox_before_the_doorbell():
    names = [name for name in runtime.names() if name == "inbox" or name.startswith("agents")]
    assert names == ["inbox", "agents flusher", "agents doorbell"]


def test_hello_has_its_handler():
    assert Hello in inbox.registry.handlers


def test_doorbells_of_other_processes_are_heard(monkeypatch):
    kinds: dict[str, object] = {}
    monkeypatch.setattr(relay, "on", kinds.__setitem__)
    wiring.start_listening()
    assert kinds == {
        delivery.WAKE: delivery.on_wake,
        delivery.REVOKED: delivery.on_revoked,
        delivery.GREETED: delivery.on_greeted,
        delivery.CONFLICT: delivery.on_conflict,
    }


def test_doorbell_for_a_host_that_is_elsewhere_marks_it_only():
    delivery.on_wake({"agent_id": "a-9"})
    assert "a-9" in inbox._dirty


@pytest.mark.django_db(transaction=True)
def test_pages_are_told_after_the_commit_only(monkeypatch):
    told: list[str] = []
    monkeypatch.setattr(live, "publish", lambda topic, *, tenant_id: told.append(topic))
    with transaction.atomic():
        events.presence_changed("default", ["a-1"])
        assert told == []
    assert told == ["agents", "agent.a-1", "tasks"]


async def test_offloaded_call_returns_and_raises():
    assert await offload.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await offload.run(divmod, 7, 0)
    assert offload._waiting == 0
