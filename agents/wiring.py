"""What of this app runs where: inbox handlers, services of a server process, periodic jobs."""

from __future__ import annotations

from agent_client.protocol.messages import Hello, SystemNews
from agents import delivery, hot_flush, housekeeping, inbox
from agents.services import presence, system_news
from dialer_platform import readiness, runtime


def connect() -> None:
    """Register everything; called once, when Django is ready."""
    inbox.register(Hello, presence.greet)
    inbox.register(SystemNews, system_news.note)
    inbox.register_beat(presence.show_online)
    runtime.register("inbox", inbox.start, inbox.stop)
    runtime.register("agents flusher", hot_flush.start, hot_flush.stop)
    runtime.register("agents doorbell", start_listening, lambda: None)
    readiness.register("messages", lambda: inbox.writer.is_moving)
    housekeeping.register()


def start_listening() -> None:
    """Hear the other server processes, and give every host time to come back."""
    presence.restart_grace()
    delivery.listen()
