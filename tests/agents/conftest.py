"""Hosts for tests, and a clean inbox, memory and fleet around each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from agents import inbox, revocations
from agents.models import Agent
from agents.principal import AgentPrincipal
from agents.services.main_agents import create_main_agent
from dialer_platform.storage import installation

Enrolled = tuple[Agent, str]


@pytest.fixture(autouse=True)
def _clean_process(settings, tmp_path) -> Iterator[None]:
    """Forget everything a server process remembers, and keep its files apart."""
    settings.DIALER_DATA_DIR = tmp_path
    yield
    inbox.stop()
    inbox._dirty.clear()
    revocations._seen.clear()
    installation.forget()


@pytest.fixture
def registry(monkeypatch) -> inbox.Registry:
    """Return an empty registry in the place of the process's own."""
    fresh = inbox.Registry()
    monkeypatch.setattr(inbox, "registry", fresh)
    monkeypatch.setattr(inbox, "writer", inbox.Writer(fresh))
    monkeypatch.setattr(inbox, "lanes", inbox.LogLanes(fresh))
    return fresh


@pytest.fixture
def enrol(tenant) -> Callable[..., Enrolled]:
    """Return a function that makes a host and its token."""

    def make(name: str = "worker", tenant_id: str = "default", **changes) -> Enrolled:
        agent, token = create_main_agent(tenant_id=tenant_id, name=name)
        Agent.objects.filter(id=agent.id).update(**changes)
        agent.refresh_from_db()
        return agent, token

    return make


@pytest.fixture
def agent(enrol) -> Agent:
    """Return a host of the default tenant."""
    return enrol()[0]


@pytest.fixture
def enrolled(transactional_db, enrol) -> Enrolled:
    """Return a host and its token, visible to the server's threads."""
    return enrol()


@pytest.fixture
def speaker(agent) -> AgentPrincipal:
    """Return the host as the inbox knows it."""
    return AgentPrincipal(agent.id, agent.tenant_id)
