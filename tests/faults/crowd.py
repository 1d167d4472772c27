"""Many hosts in one thread: the agent's own link, session and back-off, without its processes."""

from __future__ import annotations

import asyncio
import random
import threading

import requests

from agent_client.protocol.messages import Capacity, Heartbeat, Hello, ServerMessage, Welcome
from agent_client.protocol.session import Session
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import Endpoint, Transport
from agent_client.transport.link import Link, Ways
from agent_client.transport.websocket import WebSocketTransport
from tests.e2e.stack import Stack

BEAT_SECONDS = 2.0


class Host:
    """One host that beats and does nothing else."""

    def __init__(self, server: str, agent_id: str, token: str, *, rng: random.Random) -> None:
        """Connect nowhere yet; the pauses between tries are the agent's usual ones."""
        self.welcomes = 0
        self._agent_id = agent_id
        self._endpoint = Endpoint(server, agent_id, token)
        self._session = Session(prefix=agent_id)
        self._interval_seconds = BEAT_SECONDS
        self.link = Link(
            ways=Ways(hello=self._hello, websocket=self._socket),
            backoff=Backoff(
                [server], initial_seconds=1, max_seconds=30, tries_per_address=6, rng=rng
            ),
            session=self._session,
            on_message=self._heard,
            on_lost=lambda: None,
        )

    async def live(self) -> None:
        """Connect, stay connected and beat until canceled."""
        await asyncio.gather(self.link.run(), self._beat())

    async def _beat(self) -> None:
        while True:
            if self.link.is_ready:
                message_id = self._session.next_id()
                beat = Heartbeat(message_id=message_id, agent_id=self._agent_id, holds=())
                self.link.send_beat(beat)
            await asyncio.sleep(self._interval_seconds)

    def _hello(self) -> Hello:
        return Hello(
            message_id=self._session.next_id(),
            agent_id=self._agent_id,
            instance_id=self._agent_id,
            boot_id="boot",
            version="0",
            capacity=Capacity(cpu_cores=1, memory_bytes=1, slots=0),
        )

    def _socket(self, server: str) -> Transport:
        return WebSocketTransport(self._endpoint)

    def _heard(self, message: ServerMessage) -> None:
        if isinstance(message, Welcome):
            self.welcomes += 1
            self._interval_seconds = message.heartbeat_interval


class Crowd:
    """So many hosts, living in a thread of their own from `start` to `close`."""

    def __init__(self, stack: Stack, count: int, *, rng: random.Random) -> None:
        """Register the hosts, each by the REST of agents."""
        body = {"max_uses": count}
        token = stack.post("/api/v1/agents/enroll/", body).json()["token"]
        self.hosts = [_registered(stack, token, number, rng) for number in range(count)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Let all of them connect at once."""
        self._thread.start()
        for host in self.hosts:
            asyncio.run_coroutine_threadsafe(host.live(), self._loop)

    def connected(self) -> int:
        """Return how many are welcome on a connection that lives."""
        return sum(host.link.is_ready for host in self.hosts)

    def welcomes(self) -> list[int]:
        """Return how often each was welcomed so far."""
        return [host.welcomes for host in self.hosts]

    def close(self) -> None:
        """End all of them."""

        async def end() -> None:
            # Also what the sockets have started for themselves.
            jobs = asyncio.all_tasks() - {asyncio.current_task()}
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def _registered(stack: Stack, token: str, number: int, rng: random.Random) -> Host:
    """Register one host and return it."""
    name = f"crowd-{number:04d}"
    body = {"enroll_token": token, "name": name, "instance_id": name, "system": {}}
    answer = requests.post(f"{stack.url}/api/v1/agents/register/", json=body, timeout=30)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    seeded = random.Random(rng.randrange(10**9))
    return Host(stack.url, told["agent_id"], told["agent_token"], rng=seeded)
