"""Hands each message of the server to the part that acts on it; knows all, does nothing.

An unknown or refused message is never fatal: it is logged, and the next beat heals what
it should have done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agent_client.heartbeat import Heart
from agent_client.log_shipping import LogShipper
from agent_client.protocol.messages import (
    Ack,
    CancelTasksBatch,
    Go,
    Reconcile,
    Rejected,
    Revoked,
    ServerMessage,
    TasksBatch,
    WantedRelease,
    Welcome,
)
from agent_client.protocol.session import Session
from agent_client.runs import Runs

logger = logging.getLogger(__name__)

REPEAT_SECONDS = 1.0
"""When a message is sent again that the server could not take just now."""
UNHEARD_SECONDS = 15.0
"""A message that was not confirmed for so long, twice at most, is sent again."""
REPEATABLE = frozenset({"slow_down", "unavailable"})


class Dispatcher:
    """The agent's side of the conversation."""

    def __init__(
        self,
        *,
        session: Session,
        runs: Runs,
        logs: LogShipper,
        heart: Heart,
        flush: Callable[[], None],
        on_welcome: Callable[[Welcome], None],
        on_probes: Callable[[int | None], None] = lambda revision: None,
        on_plugins: Callable[[int | None], None] = lambda revision: None,
        on_release: Callable[[WantedRelease | None], None] = lambda release: None,
    ) -> None:
        """on_welcome gets every welcome, before anything else that comes with it.

        on_probes and on_plugins get the revision of either wherever the server names one,
        on_release the version of the agent that the host is to run.
        """
        self._session = session
        self._runs = runs
        self._logs = logs
        self._heart = heart
        self._flush = flush
        self._on_welcome = on_welcome
        self._on_probes = on_probes
        self._on_plugins = on_plugins
        self._on_release = on_release
        self._looked_at = 0.0

    def on_message(self, message: ServerMessage) -> None:
        """Act on one message; a defect in a handler must not end the connection."""
        try:
            self._act(message)
        except Exception:  # one broken task must not cut off all the others
            logger.exception("a message of the server could not be handled")

    def _act(self, message: ServerMessage) -> None:
        match message:
            case Ack():
                self._acknowledged(message)
            case Go():
                self._runs.go(message.tasks)
            case TasksBatch():
                self._runs.offers(message.tasks)
            case CancelTasksBatch():
                self._runs.cancel(message.tasks)
            case Revoked():
                self._runs.revoked(message.tasks)
            case Reconcile():
                self._runs.reconcile(message.desired)
                self._runs.limit_bandwidths(message.bandwidths)
            case Welcome():
                self._welcomed(message)
            case Rejected():
                self._rejected(message)

    def on_lost(self) -> None:
        """Note that the connection is gone."""
        self._heart.disconnected()
        self._logs.disconnected()

    def _welcomed(self, message: Welcome) -> None:
        self._on_welcome(message)
        self._heart.set_interval(message.heartbeat_interval)
        self._heart.connected()
        self._logs.connected()
        self._runs.reconcile(message.desired)
        self._on_probes(message.probes_revision)
        self._on_plugins(message.plugins_revision)
        self._on_release(message.release)

    def _acknowledged(self, message: Ack) -> None:
        self._on_probes(message.probes_revision)
        self._on_plugins(message.plugins_revision)
        self._on_release(message.release)
        self._heart.set_interval(message.heartbeat_interval)
        self._heart.confirmed(message.message_ids)
        self._logs.confirmed(message.message_ids)
        for entry in message.log_next:
            self._logs.stored((entry.task_id, entry.offer), entry.next)
        # Only a server that answers can have lost a message: silence ends the connection.
        if self._heart.heard_at - self._looked_at >= UNHEARD_SECONDS:
            self._looked_at = self._heart.heard_at
            if self._session.repeat_unheard():
                self._flush()

    def _rejected(self, message: Rejected) -> None:
        """Repeat later what the server asks to repeat; let go what it will never take."""
        is_final = message.code not in REPEATABLE
        level = logging.WARNING if is_final else logging.DEBUG
        logger.log(level, "the server refused a message: %s %s", message.code, message.detail)
        if self._logs.refused(message.message_id, is_final=is_final):
            return
        if is_final:
            self._session.confirm([message.message_id])
        else:
            asyncio.get_running_loop().call_later(REPEAT_SECONDS, self._repeat, message.message_id)

    def _repeat(self, message_id: str) -> None:
        self._session.retry(message_id)
        self._flush()
