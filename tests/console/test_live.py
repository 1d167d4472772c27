"""Live hints: coalesced, bound to a tenant, harmless to the publisher."""

from __future__ import annotations

import threading
import uuid

import pytest

from dialer_platform.console import live, relay


@pytest.fixture
def topic() -> str:
    """Return a topic of this test alone."""
    return f"task.{uuid.uuid4().hex}"


def test_hint_arrives_at_once_when_somebody_watches(watch, topic):
    watcher = watch(topic)
    live.publish(topic, tenant_id="default")
    assert [name for name, _ in watcher.hints] == [topic]


def test_burst_becomes_two_hints_when_published_together(watch, topic, monkeypatch):
    monkeypatch.setattr(live, "COALESCE_SECONDS", 0.05)
    watcher = watch(topic)
    for _ in range(500):
        live.publish(topic, tenant_id="default")
    assert watcher.wait_for(2)
    assert len(watcher.hints) < 20


def test_last_change_of_a_burst_is_told_when_its_time_is_over(watch, topic):
    watcher = watch(topic)
    live.publish(topic, tenant_id="default")
    first = watcher.hints[-1][1]
    live.publish(topic, tenant_id="default")
    assert watcher.wait_for(2)
    assert watcher.hints[-1][1] > first


def test_other_tenants_hear_nothing_when_a_topic_changes(watch, topic):
    stranger = watch(topic, tenant_id="other")
    live.publish(topic, tenant_id="default")
    assert stranger.hints == []


def test_watcher_without_tenant_hears_every_tenant(watch, topic):
    watcher = watch(topic, tenant_id="")
    live.publish(topic, tenant_id="other")
    assert len(watcher.hints) == 1


def test_nothing_is_kept_when_nobody_watches(topic):
    live.publish(topic, tenant_id="default")
    assert ("default", topic) not in live._pending


def test_unsubscribed_watcher_hears_nothing_and_leaves_no_trace(topic):
    heard: list[str] = []
    before = live.count_subscriptions()
    end = live.subscribe(topic, lambda name, _: heard.append(name), tenant_id="default")
    end()
    end()
    live.publish(topic, tenant_id="default")
    assert heard == []
    assert live.count_subscriptions() == before


def test_publisher_is_spared_when_a_watcher_fails(watch, topic, caplog):
    def fail(name: str, version: int) -> None:
        raise RuntimeError("broken page")

    end = live.subscribe(topic, fail, tenant_id="default")
    watcher = watch(topic)
    live.publish(topic, tenant_id="default")
    end()
    assert len(watcher.hints) == 1
    assert "a watcher of live hints failed" in caplog.text


def test_hints_from_many_threads_are_not_lost_for_good(watch, topic):
    watcher = watch(topic)
    publish = lambda: [live.publish(topic, tenant_id="default") for _ in range(50)]  # noqa: E731
    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watcher.wait_for(2)


def test_hint_of_another_process_reaches_watchers_here(watch, topic):
    watcher = watch(topic)
    notes = [[live.HINT, {"tenant_id": "default", "topic": topic}]]
    relay.receive({"from": "another process", "notes": notes})
    assert len(watcher.hints) == 1


def test_log_topics_wait_less_than_others():
    assert live._pause_seconds("log.7") < live._pause_seconds("task.7")
