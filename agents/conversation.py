"""What one connected host says and is told: hello, beats, messages, log chunks.

Runs on the event loop and never waits: a beat is acknowledged from memory, everything
else goes to the inbox, and its answer comes back after the commit. Knows no socket: the
consumer sends what it puts into the connection, and closes when it says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from agent_client.protocol import codec
from agent_client.protocol.messages import (
    Ack,
    AgentMessage,
    Heartbeat,
    Hello,
    LogChunk,
    Rejected,
    Welcome,
)
from agents import connections, delivery, hot, inbox, instances, pace, probe_duty, release_duty
from agents.connections import Connection
from agents.plugins import wanted
from agents.principal import AgentPrincipal
from agents.reply import Reply, next_message_id
from dialer_platform.storage.installation import installation_id

MAX_UNCONFIRMED = 1_024
"""Messages of one host that wait for their commit; beyond it the host is told to wait."""
MAX_UNSTORED_BYTES = 16 * 1024 * 1024
"""Log bytes of one host that wait for the disk."""


class Conversation:
    """One host's side of the inbox while its socket lives."""

    def __init__(
        self,
        principal: AgentPrincipal,
        address: str,
        *,
        on_hello: Callable[[Connection], None],
        close: Callable[[int], None],
        elsewhere: instances.Stored = instances.NOBODY,
    ) -> None:
        """Belong to the running loop; on_hello gets the connection to send from.

        elsewhere is who spoke with this credential last, to whatever process.
        """
        self.connection: Connection | None = None
        self._principal = principal
        self._address = address
        self._on_hello = on_hello
        self._close = close
        self._elsewhere = elsewhere
        self._loop = asyncio.get_running_loop()
        self._unconfirmed = 0
        self._unstored_bytes = 0

    # --- in -------------------------------------------------------------------

    def receive(self, data: bytes | str) -> None:
        """Take one frame: text holds messages, bytes a log chunk.

        Nothing is taken any more once the host speaks through a newer socket: what it sent
        here and was not acknowledged it repeats there.
        """
        if self.connection and self.connection.close_code:
            return
        unread: list[codec.Unread] = []
        try:
            messages = _decoded(data, unread)
        except codec.ProtocolError as error:
            self._refuse("", "invalid_message", str(error))
            return
        if self.connection is None and not self._greet(messages):
            return
        for one in unread:
            self._refuse(one.message_id, "invalid_message", one.detail)
        if any(isinstance(one, Heartbeat | Hello) and not self._is_own(one) for one in messages):
            self._refuse("", "agent_mismatch", "The credential belongs to another agent.")
            return
        for chunk in (one for one in messages if isinstance(one, LogChunk)):
            self._store_chunk(chunk)
        self._store([one for one in messages if not isinstance(one, LogChunk)])

    def _greet(self, messages: Sequence[AgentMessage]) -> bool:
        """Register the connection at the first hello; False when the socket is refused."""
        hello = next((one for one in messages if isinstance(one, Hello)), None)
        if hello is None:
            self._close(connections.CLOSE_BAD_REQUEST)
            return False
        if not self._is_own(hello):
            self._close(connections.CLOSE_UNAUTHENTICATED)
            return False
        if instances.is_other_alive(self._principal, hello.instance_id, self._elsewhere):
            delivery.announce_conflict(self._principal, self._address)
            self._close(connections.CLOSE_INSTANCE_CONFLICT)
            return False
        self.connection = Connection(self._principal, hello.instance_id)
        connections.register(self.connection)
        hot.note_address(self._principal, self._address)
        self._on_hello(self.connection)
        return True

    def _store(self, messages: Sequence[AgentMessage]) -> None:
        """Queue what has to be stored, and acknowledge beats from memory."""
        count = len(messages)
        try:
            if self._unconfirmed + count > MAX_UNCONFIRMED:
                raise inbox.SlowDown("Too many messages are unconfirmed.")
            if inbox.submit(self._principal, messages, self._on_loop(self._stored, count)):
                self._unconfirmed += count
        except inbox.SlowDown as error:
            for message in messages:
                if not isinstance(message, Heartbeat):
                    self._refuse(message.message_id, error.code, error.detail)
        beats = tuple(one.message_id for one in messages if isinstance(one, Heartbeat))
        if beats and self.connection:
            self.connection.send([_beat_ack(beats, self._principal.agent_id)])

    def _store_chunk(self, chunk: LogChunk) -> None:
        """Queue log bytes for their lane."""
        size = len(chunk.frames)
        try:
            if self._unstored_bytes + size > MAX_UNSTORED_BYTES:
                raise inbox.SlowDown("Too many log bytes wait to be stored.")
            inbox.chunk(self._principal, chunk, self._on_loop(self._chunk_stored, size))
            self._unstored_bytes += size
        except inbox.SlowDown as error:
            self._refuse(chunk.message_id, error.code, error.detail)

    def leave(self) -> None:
        """Forget the connection; what is not yet acknowledged is repeated by the host."""
        if self.connection:
            connections.unregister(self.connection)
            self.connection = None

    # --- out ------------------------------------------------------------------

    def _on_loop(self, tell: Callable[[int, Reply], None], amount: int) -> Callable[[Reply], None]:
        """Return a callback for other threads that calls tell on this loop."""

        def call(reply: Reply) -> None:
            self._loop.call_soon_threadsafe(tell, amount, reply)

        return call

    def _stored(self, count: int, reply: Reply) -> None:
        """Send the answer of stored messages; the first one with an epoch is the welcome."""
        self._unconfirmed -= count
        if self.connection is None:
            return
        messages = reply.to_messages()
        if reply.epoch:
            known = self._principal
            self._principal = AgentPrincipal(known.agent_id, known.tenant_id, reply.epoch)
            self.connection.principal = self._principal
            self.connection.welcome([_welcome(self._principal), *messages])
            if reply.epoch < hot.epoch(known.agent_id):
                self.connection.close(connections.CLOSE_SUPERSEDED)
        elif not self.connection.is_welcome:
            self._close(connections.CLOSE_TOO_SLOW)  # The hello could not be stored.
        else:
            self.connection.send(messages)

    def _chunk_stored(self, size: int, reply: Reply) -> None:
        """Send what became of log bytes."""
        self._unstored_bytes -= size
        if self.connection:
            self.connection.send(reply.to_messages())

    def _refuse(self, message_id: str, code: str, detail: str) -> None:
        """Tell the host that one message was not taken; before hello, hang up."""
        if self.connection:
            self.connection.send([Rejected(message_id=message_id, code=code, detail=detail)])
        else:
            self._close(connections.CLOSE_BAD_REQUEST)

    def _is_own(self, message: Heartbeat | Hello) -> bool:
        """Return whether a message names the agent whose credential opened the socket."""
        return message.agent_id == self._principal.agent_id


def _welcome(principal: AgentPrincipal) -> Welcome:
    """Return the answer to hello; what is wanted follows in a message of its own."""
    return Welcome(
        message_id=next_message_id(),
        epoch=principal.epoch,
        heartbeat_interval=pace.heartbeat_interval(),
        installation=installation_id(),
        server_time=time.time(),
        probes_revision=probe_duty.revision(principal.agent_id),
        plugins_revision=wanted.revision(principal.agent_id),
        release=release_duty.wanted(principal.agent_id),
    )


def _beat_ack(beats: tuple[str, ...], agent_id: str) -> Ack:
    """Return the acknowledgement of beats, which also sets the pace."""
    return Ack(
        message_id=beats[0],
        message_ids=beats,
        heartbeat_interval=pace.heartbeat_interval(),
        probes_revision=probe_duty.revision(agent_id),
        plugins_revision=wanted.revision(agent_id),
        release=release_duty.wanted(agent_id),
    )


def _decoded(data: bytes | str, unread: list[codec.Unread]) -> Sequence[AgentMessage]:
    """Return the messages of a frame, and put those that are none into unread.

    Raises codec.ProtocolError for a frame that cannot be read at all.
    """
    if isinstance(data, bytes):
        return [codec.decode_chunk(data)]
    return codec.decode_agent_frame(data, on_unread=unread.append)
