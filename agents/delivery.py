"""Getting a committed change to a host: its socket here, a doorbell elsewhere, else its next beat.

Called after the commit, from any thread. Nothing delivered here is the only copy: an
agent that misses it is told by the reconciliation of its next beat.
"""

from __future__ import annotations

from agent_client.protocol.messages import ServerMessage
from agents import connections, credentials, hot, inbox
from agents.principal import AgentPrincipal
from agents.reply import Reply
from dialer_platform.console import relay
from dialer_platform.errors import Unavailable

WAKE = "agent.wake"
REVOKED = "agent.revoked"
GREETED = "agent.greeted"
CONFLICT = "agent.conflict"


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


def announce_epoch(agent_id: str, epoch: int) -> None:
    """End older connections of a host, here and in the other processes: it has a newer one.

    Without it a process would deliver into a socket that nobody reads until its pings fail.
    """
    supersede(agent_id, epoch)
    relay.broadcast(GREETED, {"agent_id": agent_id, "epoch": str(epoch)})


def supersede(agent_id: str, epoch: int) -> None:
    """Close the host's socket here if it is older; one that has no number yet gets its own."""
    hot.note_epoch(agent_id, epoch)
    connection = connections.get(agent_id)
    if connection and connection.is_welcome and connection.principal.epoch < epoch:
        connection.close(connections.CLOSE_SUPERSEDED)


def announce_conflict(principal: AgentPrincipal, address: str) -> None:
    """Have the host's page say that another instance uses its credential, in every process."""
    hot.note_conflict(principal.agent_id, address)
    relay.broadcast(CONFLICT, {"agent_id": principal.agent_id, "address": address})


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


def on_greeted(payload: dict[str, str]) -> None:
    """Answer another process's doorbell: a host said hello there."""
    supersede(payload["agent_id"], int(payload["epoch"]))


def on_conflict(payload: dict[str, str]) -> None:
    """Answer another process's doorbell: it refused a second instance of a host."""
    hot.note_conflict(payload["agent_id"], payload["address"])


def listen() -> None:
    """Subscribe to the doorbells of the other server processes."""
    relay.on(WAKE, on_wake)
    relay.on(REVOKED, on_revoked)
    relay.on(GREETED, on_greeted)
    relay.on(CONFLICT, on_conflict)
