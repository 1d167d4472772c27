"""Getting a committed change to a host: its socket here, a doorbell elsewhere, else its next beat.

Called after the commit, from any thread. Nothing delivered here is the only copy: an
agent that misses it is told by the reconciliation of its next beat.
"""

from __future__ import annotations

from agent_client.protocol.messages import ServerMessage
from agents import connections, credentials, inbox
from agents.reply import Reply
from dialer_platform.console import relay
from dialer_platform.errors import Unavailable

WAKE = "agent.wake"
REVOKED = "agent.revoked"


def deliver(agent_id: str, *messages: ServerMessage) -> bool:
    """Send messages to a host; True when it has a socket in this process.

    Otherwise the process that has it is rung and works out what the host should know
    from the database, so that no script travels between servers.
    """
    connection = connections.get(agent_id)
    if connection and connection.send(messages):
        return True
    inbox.mark_dirty(agent_id)
    relay.broadcast(WAKE, {"agent_id": agent_id})
    return False


def announce_revoked(agent_id: str) -> None:
    """End the host's access here at once and in the other processes by the doorbell."""
    end_access(agent_id)
    relay.broadcast(REVOKED, {"agent_id": agent_id})


def end_access(agent_id: str) -> None:
    """Drop the cached credential and close the socket in this process."""
    credentials.forget(agent_id)
    connections.close(agent_id, connections.CLOSE_UNAUTHENTICATED)


def on_wake(payload: dict[str, str]) -> None:
    """Answer another process's doorbell: reconcile a host that is connected here."""
    agent_id = payload["agent_id"]
    inbox.mark_dirty(agent_id)
    connection = connections.get(agent_id)
    if connection is None:
        return

    def send(reply: Reply) -> None:
        connection.send(reply.to_messages())

    try:
        inbox.wake(connection.principal, send)
    except Unavailable:
        return  # The writer is full; the next beat is marked and will do it.


def on_revoked(payload: dict[str, str]) -> None:
    """Answer another process's doorbell: a host may no longer speak."""
    end_access(payload["agent_id"])


def listen() -> None:
    """Subscribe to the doorbells of the other server processes."""
    relay.on(WAKE, on_wake)
    relay.on(REVOKED, on_revoked)
