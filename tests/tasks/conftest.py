"""A host without sockets, and the messages it would send: the queue's tests need no network."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from agent_client.protocol.messages import (
    Accepted,
    Heartbeat,
    Hold,
    Message,
    Refused,
    Result,
    Started,
)
from agents import delivery, fleet, hot, inbox
from agents.inbox_batch import Submission, run_batch
from agents.models import Agent
from agents.principal import AgentPrincipal
from agents.reply import Reply
from tasks.logs import bars
from tasks.models import Task
from tasks.services import log_intake
from tasks.services.refusals import refusals
from tasks.services.submit import create_task

FIELDS = {"name": "train", "template_type": "bash", "script_content": "true", "cpu_cores": 0}
_numbers = itertools.count(1)


@dataclass
class FakeHost:
    """Speaks for one enrolled host, straight into the inbox."""

    agent: Agent
    principal: AgentPrincipal = field(init=False)

    def __post_init__(self) -> None:
        self.principal = AgentPrincipal(self.agent.pk, self.agent.tenant_id, 1)

    def say(self, *messages: Message) -> Reply:
        """Send messages in one transaction and return the answer."""
        submission = Submission(self.principal, messages)
        run_batch(inbox.registry, [submission])
        return submission.reply

    def accept(self, task: Task) -> Reply:
        return self.say(Accepted(message_id=new_id(), task_id=task.pk, offer=task.offer))

    def refuse(self, task: Task, code: str = "no_free_slot") -> Reply:
        return self.say(Refused(message_id=new_id(), task_id=task.pk, offer=task.offer, code=code))

    def start(self, task: Task) -> Reply:
        return self.say(started(task))

    def finish(self, task: Task, **facts: object) -> Reply:
        return self.say(result(task, **facts))

    def run(self, task: Task) -> Task:
        """Bring an offered task to running."""
        self.accept(task)
        self.start(task)
        task.refresh_from_db()
        return task

    def beat(self, *holds: Hold, knows: bool = True) -> Reply:
        """Send a beat with the full list of what the host holds and reconcile it."""
        beat = Heartbeat(agent_id=self.agent.pk, holds=holds if knows else None)
        submission = Submission(
            self.principal, beat=beat, holds=holds if knows else None, reconcile=True
        )
        run_batch(inbox.registry, [submission])
        return submission.reply


def new_id() -> str:
    """Return a fresh message id."""
    return f"m{next(_numbers)}"


def started(task: Task) -> Started:
    """Return the message that a task's script runs."""
    return Started(
        message_id=new_id(), task_id=task.pk, offer=task.offer, pid=42, started_at=time.time()
    )


def result(task: Task, **facts: object) -> Result:
    """Return the message that a task ended, by default with exit code 0."""
    values = {"reason": "exit", "exit_code": 0, "duration_seconds": 1.5, **facts}
    return Result(
        message_id=new_id(),
        task_id=task.pk,
        offer=task.offer,
        finished_at=time.time(),
        **values,
    )


@pytest.fixture(autouse=True)
def _clean_memory(settings, tmp_path):
    """Start every test with empty memories and logs of its own."""
    settings.TASK_LOG_DIR = tmp_path / "logs"
    settings.TASK_LOG_DIR.mkdir()
    for forget in (refusals.clear, log_intake.forget_writers, fleet.clear, hot.clear, bars.take):
        forget()


@pytest.fixture
def delivered(monkeypatch) -> list[tuple[str, Message]]:
    """Collect what is sent to hosts after commits."""
    sent: list[tuple[str, Message]] = []
    monkeypatch.setattr(
        delivery,
        "deliver",
        lambda agent_id, *messages: sent.extend((agent_id, m) for m in messages),
    )
    return sent


@pytest.fixture
def new_host(tenant, delivered) -> Callable[..., FakeHost]:
    """Return a function that enrols an online host."""

    def make(name: str = "box", **facts: object) -> FakeHost:
        values = {
            "tenant_id": tenant.pk,
            "status": "online",
            "cpu_cores": 8,
            "slots": 4,
            "script_types": ["shell", "python"],
            **facts,
        }
        host = FakeHost(Agent.objects.create(name=name, **values))
        fleet.clear()
        return host

    return make


@pytest.fixture
def host(new_host) -> FakeHost:
    """Return one online host with 8 cores and 4 slots."""
    return new_host()


@pytest.fixture
def submit(principal, delivered) -> Callable[..., Task]:
    """Return a function that submits a task and returns it as stored."""

    def make(**fields: object) -> Task:
        task = create_task(principal=principal, fields={**FIELDS, **fields})
        return fresh(task)

    return make


def fresh(task: Task) -> Task:
    """Return the task as it is stored now."""
    return Task.objects.get(pk=task.pk)


def content_of(response) -> bytes:
    """Return the whole of a streamed answer, as an ASGI server sends it."""

    async def gather() -> bytes:
        return b"".join([piece async for piece in response.streaming_content])

    return asyncio.run(gather())
