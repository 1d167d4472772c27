"""PUT tasks/{id}/log as a foreign agent would call it: raw bytes of a stream, by offset."""

from __future__ import annotations

import pytest

from agents import credentials
from agents.models import Agent
from agents.services.main_agents import create_main_agent
from dialer_platform.accounts.models import Tenant
from tasks.logs.files import reader
from tasks.models import Task
from tests.agents.asgi_client import Answer, call

pytestmark = pytest.mark.django_db(transaction=True)

OCTETS = {"content-type": "application/octet-stream"}


@pytest.fixture
def host() -> tuple[Agent, str]:
    """Return an enrolled host and its token."""
    credentials.clear()
    Tenant.objects.get_or_create(id="default", defaults={"name": "Default"})
    return create_main_agent(tenant_id="default", name="box")


@pytest.fixture
def task(host) -> Task:
    """Return a task that runs on the host."""
    return Task.objects.create(
        tenant_id="default",
        name="t",
        template_type="b",
        script_content="x",
        status="running",
        phase="running",
        agent=host[0],
        offer=1,
    )


@pytest.fixture
def stranger_token(host) -> str:
    """Return the token of another host of the same tenant."""
    return create_main_agent(tenant_id="default", name="other")[1]


async def put(task_id: int, data: bytes, token: str, *, offset: int = 0) -> Answer:
    """Send raw bytes of stdout."""
    path = f"/api/v1/tasks/{task_id}/log?stream=stdout&offset={offset}"
    return await call("PUT", path, data, token=token, headers=OCTETS)


async def test_bytes_are_stored_and_answered_with_the_next_offset(task, host):
    answer = await put(task.pk, b"hello \xff", host[1])
    assert (answer.status, answer.json()) == (200, {"next": 7})
    assert reader(task.pk).read(0, 99).data == b"hello \xff"


async def test_repeated_bytes_are_ignored(task, host):
    for _ in range(2):
        answer = await put(task.pk, b"hello", host[1])
    assert answer.json() == {"next": 5}
    assert reader(task.pk).size() == 5


async def test_gap_is_a_conflict_with_the_expected_offset(task, host):
    answer = await put(task.pk, b"late", host[1], offset=9)
    assert (answer.status, answer.json()["fields"]) == (409, {"offset": ["0"]})


async def test_task_of_another_host_is_not_found(task, stranger_token):
    answer = await put(task.pk, b"x", stranger_token)
    assert (answer.status, reader(task.pk).size()) == (404, 0)


async def test_unknown_task_is_not_found(host):
    assert (await put(424_242, b"x", host[1])).status == 404
