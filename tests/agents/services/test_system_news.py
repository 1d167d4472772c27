"""News of a connected host reach its row, its page and the REST answer."""

from __future__ import annotations

import pytest

from agent_client.protocol.messages import Hello, SystemNews
from agents.inbox_batch import Submission, run_batch
from agents.inbox_registry import Registry
from agents.models import Agent
from agents.services import presence, system_news
from tests.agents import wire

# The page of a host shows plug-ins, whose samples live in the other database.
pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register(Hello, presence.greet)
    registry.register(SystemNews, system_news.note)
    return registry


def say(registry: Registry, speaker, *messages) -> Submission:
    submission = Submission(speaker, messages)
    run_batch(registry, [submission])
    return submission


def news(kernel: str, number: int = 1) -> SystemNews:
    return SystemNews(message_id=f"n-{number}", system={"kernel": kernel, "os": "Debian"})


def test_news_replace_the_facts_and_are_acknowledged(registry, speaker):
    submission = say(registry, speaker, news("6.1"))
    assert Agent.objects.get().system == {"kernel": "6.1", "os": "Debian"}
    assert submission.reply.acks == ["n-1"]


def test_two_news_of_one_batch_are_both_noted(registry, speaker):
    say(registry, speaker, news("6.1"))
    say(registry, speaker, news("6.2", 2), news("6.3", 3))
    changes = Agent.objects.get().system["changes"]
    assert [(one["before"], one["after"]) for one in changes] == [("6.2", "6.3"), ("6.1", "6.2")]


def test_change_while_the_host_was_away_is_noted_by_the_hello(registry, speaker):
    say(registry, speaker, news("6.1"))
    say(registry, speaker, wire.hello(speaker.agent_id, system={"kernel": "6.2"}))
    assert Agent.objects.get().system["changes"][0]["after"] == "6.2"


def test_unknown_host_is_refused(registry, speaker):
    Agent.objects.all().delete()
    submission = say(registry, speaker, news("6.1"))
    assert submission.reply.errors[0].code == "unknown_agent"


@pytest.mark.django_db(databases="__all__")  # the panels read results, too
def test_page_and_api_show_the_changes(registry, speaker, page_client, api_client, viewer_user):
    say(registry, speaker, news("6.1"))
    say(registry, speaker, news("6.2"))
    page = page_client(viewer_user).get(f"/agents/{speaker.agent_id}/").content.decode()
    assert "6.1 → 6.2" in page
    answer = api_client(viewer_user).get(f"/api/v1/agents/{speaker.agent_id}/").json()
    assert answer["system"]["changes"][0]["what"] == "kernel"
