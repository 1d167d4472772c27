"""Probes for tests, hosts that bring results, and a clean memory around each of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as project

from agent_client.protocol.probes import ProbeResult
from agents.models import Agent
from agents.principal import AgentPrincipal
from dialer_platform.accounts.principal import principal_for
from tasks.probes import sets
from tasks.probes.ingest.batch import Submission, store_batch
from tasks.probes.models import Probe
from tasks.probes.services.probes import create_probe

DATABASES = list(project.DATABASES)
FIELDS = {"name": "site", "kind": "http", "target": "http://127.0.0.1/", "interval": 60}
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test of this package both databases."""
    for item in items:
        if "tests/tasks/probes/" in item.nodeid and "db_free" not in item.keywords:
            transactional = item.get_closest_marker("django_db")
            kwargs = dict(transactional.kwargs) if transactional else {}
            item.add_marker(
                pytest.mark.django_db(**{**kwargs, "databases": DATABASES}), append=False
            )


@pytest.fixture(autouse=True)
def _clean_memory() -> Iterator[None]:
    """Forget what a server process remembers of probes."""
    sets.clear()
    yield
    sets.clear()


@pytest.fixture
def new_probe(principal) -> Callable[..., Probe]:
    """Return a function that makes a probe of the default tenant."""

    def make(**fields: Any) -> Probe:
        return create_probe(principal=principal, fields={**FIELDS, **fields})

    return make


@pytest.fixture
def probe(new_probe) -> Probe:
    """Return a probe that every host of the default tenant runs."""
    return new_probe()


@pytest.fixture
def new_agent(tenant) -> Callable[..., Agent]:
    """Return a function that makes an online host."""

    def make(name: str = "box", **facts: Any) -> Agent:
        values = {"tenant_id": tenant.pk, "status": "online", **facts}
        return Agent.objects.create(name=name, **values)

    return make


@pytest.fixture
def agent(new_agent) -> Agent:
    """Return an online host of the default tenant."""
    return new_agent()


def speaker(agent: Agent) -> AgentPrincipal:
    """Return the host as its credential names it."""
    return AgentPrincipal(agent.pk, agent.tenant_id, 1)


def result(probe: Probe, outcome: str = "up", **facts: Any) -> ProbeResult:
    """Return a result of a probe, from now unless told otherwise."""
    values = {
        "seq": next(_numbers),
        "stream": "s",
        "started_at": time.time(),
        "duration_seconds": 0.012,
        "version": probe.version,
        **facts,
    }
    return ProbeResult(
        task_id=probe.pk,
        tenant_id=values.pop("tenant_id", probe.tenant_id),
        outcome=outcome,
        **values,
    )


def bring(agent: Agent, *results: ProbeResult) -> list[str]:
    """Store results as the writer does and return the codes of those refused."""
    submission = Submission(speaker(agent), results)
    store_batch([submission])
    return [refusal.code for refusal in submission.refusals]


@pytest.fixture
def stranger_principal(stranger):
    """Return the administrator of another tenant as services know them."""
    return principal_for(stranger)
