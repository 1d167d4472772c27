"""The wire between all hosts and the server: what was said and has not arrived.

Anything in it may be lost, doubled, late or overtaken. A connection is a number; what the
server says on a connection that its host has left never arrives, as with a socket, while
what a host said before may still be on its way when the next connection speaks. What a
server has said may arrive after it died: then comes the end of the connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from agent_client.protocol.messages import AgentMessage, Message, ServerMessage

MAX_PACKETS = 60
"""More than this are lost, oldest first: a simulation must not grow without bound."""


HANG_UP = Message(message_id="end of the connection")


class Packet(NamedTuple):
    """One message on its way; `connection` numbers the host's connections."""

    host: str
    connection: int
    message: AgentMessage | ServerMessage | Message
    is_up: bool


@dataclass
class Network:
    """Packets under way, oldest first."""

    packets: list[Packet] = field(default_factory=list)
    lost: int = 0

    def send(self, packet: Packet) -> None:
        self.packets.append(packet)
        while len(self.packets) > MAX_PACKETS:
            self.drop(0)

    def take(self, index: int) -> Packet:
        return self.packets.pop(index % len(self.packets))

    def drop(self, index: int) -> None:
        self.take(index)
        self.lost += 1

    def double(self, index: int) -> None:
        self.packets.append(self.packets[index % len(self.packets)])

    def cut(self, host: str, *, keeps_up: bool, keeps_down: bool = False) -> None:
        """Lose a host's connection; what was said either way may still arrive, late."""
        self.packets = [
            one
            for one in self.packets
            if one.host != host or (keeps_up if one.is_up else keeps_down)
        ]
