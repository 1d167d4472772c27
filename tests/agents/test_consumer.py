"""The socket of a host: handshake, hello, messages, beats that never wait, revocation."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.utils import timezone

from agent_client.protocol import codec, frames
from agent_client.protocol.messages import (
    Accepted,
    Ack,
    CancelOrder,
    CancelTasksBatch,
    Desired,
    Go,
    Hello,
    LogChunk,
    Reconcile,
    Rejected,
    TasksBatch,
    Welcome,
)
from agents import (
    admission,
    connections,
    consumers,
    conversation,
    delivery,
    hot,
    inbox,
    instances,
)
from agents.admission import Admission
from agents.consumers import AgentConsumer
from agents.models import Agent
from agents.services import presence
from agents.services.main_agents import revoke_agent
from dialer_platform.errors import Unauthenticated
from tests.agents import wire

pytestmark = pytest.mark.django_db(transaction=True)


class Host:
    """A host's end of the socket."""

    def __init__(self, agent_id: str, token: str, headers=(), protocols=None) -> None:
        self.agent_id = agent_id
        self.socket = WebsocketCommunicator(
            AgentConsumer.as_asgi(),
            f"/ws/agent/{agent_id}",
            headers=[(name.encode(), value.encode()) for name, value in headers],
            subprotocols=protocols if protocols is not None else ["agent-token", token],
        )
        self.received: list = []

    async def greet(self, **fields) -> Welcome:
        """Connect, say hello and return the welcome."""
        connected, protocol = await self.socket.connect(10)
        assert (connected, protocol) == (True, "agent-token")
        await self.say(wire.hello(self.agent_id, **fields))
        return await self.hear(Welcome)

    async def say(self, *messages) -> None:
        """Send messages in one frame."""
        await self.socket.send_to(text_data=codec.encode(messages).decode())

    async def hear(self, kind):
        """Return the next message of a kind; others are put aside."""
        while True:
            for message in self.received:
                if isinstance(message, kind):
                    self.received.remove(message)
                    return message
            text = await self.socket.receive_from(10)
            self.received += codec.decode_server_frame(text)

    async def closed_with(self) -> int:
        """Wait for the end of the socket and return its code."""
        while True:
            event = await self.socket.receive_output(10)
            if event["type"] == "websocket.close":
                return event["code"]


@pytest.fixture
def greeting(registry):
    """Handle hello as the server does, and nothing else."""
    registry.register(Hello, presence.greet)
    return registry


@pytest.fixture
def host(enrolled, greeting):
    return Host(enrolled[0].id, enrolled[1])


def chunk(offset: int = 0) -> LogChunk:
    """Return a chunk of task 1."""
    data = frames.encode(frames.STDOUT, 1, b"x" * 10)
    return LogChunk(message_id=wire.name(), task_id=1, offer=1, offset=offset, frames=data)


# --- handshake ----------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [[("cookie", "sessionid=1")], [("origin", "http://testserver")], [("Cookie", "")]]
)
async def test_browsers_are_refused(enrolled, headers):
    host = Host(enrolled[0].id, enrolled[1], headers=headers)
    connected, _ = await host.socket.connect(10)
    assert not connected


async def test_socket_with_a_good_token_and_a_cookie_is_still_a_browsers(enrolled):
    consumer = AgentConsumer()
    consumer.scope = {
        "path": f"/ws/agent/{enrolled[0].id}",
        "subprotocols": ["agent-token", enrolled[1]],
        "headers": [(b"cookie", b"sessionid=1")],
    }
    with pytest.raises(Unauthenticated) as caught:
        await consumer._authenticate()
    assert caught.value.code == "not_for_browsers"
    consumer.scope["headers"] = []
    assert (await consumer._authenticate()).agent_id == enrolled[0].id


@pytest.mark.parametrize(
    "protocols", [[], ["agent-token"], ["agent-token", "dpa_x"], ["chat", "x"]]
)
async def test_wrong_subprotocols_are_refused(enrolled, protocols):
    connected, _ = await Host(enrolled[0].id, "", protocols=protocols).socket.connect(10)
    assert not connected


async def test_socket_of_another_agent_is_refused(enrolled):
    connected, _ = await Host("a-0000000000", enrolled[1]).socket.connect(10)
    assert not connected


async def test_hello_is_welcomed_with_an_epoch_and_stored(host):
    welcome = await host.greet(version="9.9")
    assert (welcome.epoch, welcome.heartbeat_interval) == (1, 2.0)
    row = await Agent.objects.aget(id=host.agent_id)
    assert (row.status, row.version, row.cpu_cores, row.epoch) == ("online", "9.9", 4, 1)


async def test_message_before_hello_closes_the_socket(host):
    await host.socket.connect(10)
    await host.say(wire.beat(host.agent_id))
    assert await host.closed_with() == connections.CLOSE_BAD_REQUEST


async def test_hello_of_another_agent_closes_the_socket(host):
    await host.socket.connect(10)
    await host.say(wire.hello("a-0000000000"))
    assert await host.closed_with() == connections.CLOSE_UNAUTHENTICATED


async def test_silence_after_the_handshake_closes_the_socket(host, monkeypatch):
    monkeypatch.setattr(consumers, "HELLO_SECONDS", 0.01)
    await host.socket.connect(10)
    assert await host.closed_with() == connections.CLOSE_BAD_REQUEST


# --- messages -----------------------------------------------------------------


async def test_accepted_gets_go_and_ack(host, greeting):
    greeting.register(Accepted, lambda batch: [one.reply.go(1, 2) for one in batch])
    await host.greet()
    message = wire.accepted(1, 2)
    await host.say(message)
    assert [(ref.task_id, ref.offer) for ref in (await host.hear(Go)).tasks] == [(1, 2)]
    while message.message_id not in (await host.hear(Ack)).message_ids:
        pass


async def test_hello_brings_what_the_server_wants(host, greeting):
    wanted = Desired(task_id=1, offer=1, want="forget")
    greeting.register_beat(lambda beats: [beat.reply.want(wanted) for beat in beats])
    await host.greet()
    assert (await host.hear(Reconcile)).desired == (wanted,)


async def test_log_chunk_is_acked_with_the_next_offset(host, greeting):
    greeting.register_log_sink(lambda who, piece: piece.offset + 10)
    await host.greet()
    await host.hear(Ack)
    await host.socket.send_to(bytes_data=codec.encode_chunk(chunk(5)))
    assert [entry.next for entry in (await host.hear(Ack)).log_next] == [15]


async def test_log_chunk_in_a_text_frame_is_stored_too(host, greeting):
    greeting.register_log_sink(lambda who, piece: piece.offset + 10)
    await host.greet()
    await host.hear(Ack)
    await host.say(chunk(5))
    assert [entry.next for entry in (await host.hear(Ack)).log_next] == [15]


@pytest.mark.parametrize("text", [" ", "{", "[]x", '{"type": "nonsense", "message_id": "1"}', "1"])
async def test_nonsense_is_answered_and_not_fatal(host, text):
    await host.greet()
    await host.socket.send_to(text_data=text)
    assert (await host.hear(Rejected)).code == "invalid_message"
    await host.say(wire.beat(host.agent_id))
    assert await host.hear(Ack)


async def test_kind_of_a_newer_release_is_refused_and_what_came_with_it_counts(host, greeting):
    taken: list[int] = []
    greeting.register(Accepted, lambda batch: taken.extend(one.message.task_id for one in batch))
    await host.greet()
    known = wire.accepted(7)
    frame = f'[{{"type": "news", "message_id": "n1"}},{codec.encode(known).decode()}]'
    await host.socket.send_to(text_data=frame)
    assert (await host.hear(Rejected)).message_id == "n1"
    while known.message_id not in (await host.hear(Ack)).message_ids:
        pass
    assert taken == [7]


async def test_beat_of_another_agent_is_refused(host):
    await host.greet()
    await host.say(wire.beat("a-0000000000"))
    assert (await host.hear(Rejected)).code == "agent_mismatch"


async def test_beats_are_acked_within_20_ms_while_the_database_hangs(host, greeting):
    release = threading.Event()
    greeting.register(Accepted, lambda batch: release.wait(30))
    await host.greet()
    await host.say(wire.accepted())
    seconds = []
    for _ in range(200):
        beat = wire.beat(host.agent_id)
        begin = time.perf_counter()
        await host.say(beat)
        while beat.message_id not in (await host.hear(Ack)).message_ids:
            pass
        seconds.append(time.perf_counter() - begin)
    release.set()
    assert sorted(seconds)[197] <= 0.020


async def test_host_is_told_to_wait_when_its_window_is_full(host, greeting, monkeypatch):
    monkeypatch.setattr(conversation, "MAX_UNCONFIRMED", 1)
    release = threading.Event()
    greeting.register(Accepted, lambda batch: release.wait(30))
    await host.greet()
    await host.say(wire.accepted(1))
    refused = wire.accepted(2)
    await host.say(refused)
    rejection = await host.hear(Rejected)
    release.set()
    assert (rejection.message_id, rejection.code) == (refused.message_id, "slow_down")


async def test_log_bytes_beyond_the_window_are_refused(host, greeting, monkeypatch):
    monkeypatch.setattr(conversation, "MAX_UNSTORED_BYTES", 1)
    await host.greet()
    await host.socket.send_to(bytes_data=codec.encode_chunk(chunk()))
    assert (await host.hear(Rejected)).code == "slow_down"


# --- what the server sends on its own -----------------------------------------


async def test_delivered_message_reaches_the_host_from_any_thread(host):
    await host.greet()
    order = CancelTasksBatch(message_id="s1", tasks=(CancelOrder(task_id=1, offer=1),))
    assert await sync_to_async(delivery.deliver)(host.agent_id, order)
    assert await host.hear(CancelTasksBatch) == order


async def test_delivery_to_an_absent_host_asks_for_reconciliation(enrolled, registry):
    assert not await sync_to_async(delivery.deliver)(enrolled[0].id)
    assert enrolled[0].id in inbox._dirty


async def test_doorbell_of_another_process_reconciles_a_connected_host(host, greeting):
    await host.greet()
    wanted = Desired(task_id=1, offer=1, want="cancel")
    greeting.register_beat(lambda beats: [beat.reply.want(wanted) for beat in beats])
    delivery.on_wake({"agent_id": host.agent_id})
    assert (await host.hear(Reconcile)).desired == (wanted,)


async def test_revoked_host_is_disconnected_at_once(host):
    await host.greet()
    agent = await Agent.objects.aget(id=host.agent_id)
    await sync_to_async(revoke_agent)(agent, by="test")
    assert await host.closed_with() == connections.CLOSE_UNAUTHENTICATED
    connected, _ = await Host(agent.id, host.socket.scope["subprotocols"][1]).socket.connect(10)
    assert not connected


async def test_newer_socket_of_the_same_instance_supersedes_the_older(host, enrolled):
    await host.greet()
    newer = Host(enrolled[0].id, enrolled[1])
    assert (await newer.greet()).epoch == 2
    assert await host.closed_with() == connections.CLOSE_SUPERSEDED
    assert connections.is_connected(host.agent_id)


async def test_what_a_superseded_socket_brings_is_not_taken(host, enrolled, greeting):
    taken: list[int] = []
    greeting.register(Accepted, lambda batch: taken.extend(one.message.task_id for one in batch))
    await host.greet()
    newer = Host(enrolled[0].id, enrolled[1])
    await newer.greet()
    await host.closed_with()
    await host.say(wire.accepted(1))
    message = wire.accepted(2)
    await newer.say(message)
    while message.message_id not in (await newer.hear(Ack)).message_ids:
        pass
    assert taken == [2]


def greeted_elsewhere(host: Host, epoch: int) -> None:
    """Let another process say that the host said hello there."""
    delivery.on_greeted({"agent_id": host.agent_id, "epoch": str(epoch)})


async def test_hello_at_another_process_ends_the_older_socket_here(host):
    await host.greet()
    greeted_elsewhere(host, 2)
    assert await host.closed_with() == connections.CLOSE_SUPERSEDED
    assert not await sync_to_async(delivery.deliver)(host.agent_id)


async def test_late_word_of_an_older_hello_ends_nothing(host):
    await host.greet()
    greeted_elsewhere(host, 1)
    await host.say(wire.beat(host.agent_id))
    assert await host.hear(Ack)
    assert connections.get(host.agent_id).close_code == 0


async def test_socket_that_was_overtaken_before_its_welcome_ends_with_it(host, greeting):
    began, release = threading.Event(), threading.Event()

    def greet_slowly(batch):
        began.set()
        release.wait(30)
        presence.greet(batch)

    greeting.handlers[Hello] = greet_slowly
    await host.socket.connect(10)
    await host.say(wire.hello(host.agent_id))
    await asyncio.to_thread(began.wait, 30)
    greeted_elsewhere(host, 2)
    release.set()
    assert await host.closed_with() == connections.CLOSE_SUPERSEDED


async def test_other_processes_are_told_of_each_hello(host, monkeypatch):
    told: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(delivery.relay, "broadcast", lambda *note: told.append(note))
    await host.greet()
    assert (delivery.GREETED, {"agent_id": host.agent_id, "epoch": "1"}) in told


async def test_copy_of_a_host_that_speaks_to_another_process_is_refused(host, monkeypatch):
    monkeypatch.setattr(instances.relay, "is_enabled", lambda: True)
    fresh = timezone.now()
    await Agent.objects.aupdate(instance_id="i-1", last_heartbeat_time=fresh)
    await host.socket.connect(10)
    await host.say(wire.hello(host.agent_id, instance_id="i-2"))
    assert await host.closed_with() == connections.CLOSE_INSTANCE_CONFLICT


async def test_other_instance_is_refused_while_one_is_connected(host, enrolled):
    await host.greet()
    other = Host(enrolled[0].id, enrolled[1])
    await other.socket.connect(10)
    await other.say(wire.hello(host.agent_id, instance_id="i-2"))
    assert await other.closed_with() == connections.CLOSE_INSTANCE_CONFLICT
    assert hot.snapshot(host.agent_id).has_conflict


async def test_leaving_host_is_forgotten(host):
    await host.greet()
    await host.socket.disconnect()
    await asyncio.sleep(0)
    assert not connections.is_connected(host.agent_id)


async def test_host_that_does_not_read_is_disconnected(host, monkeypatch):
    await host.greet()
    monkeypatch.setattr(connections, "MAX_OUTBOUND_MESSAGES", 3)
    messages = [Ack(message_id=str(n)) for n in range(4)]
    assert not connections.get(host.agent_id).send(messages)
    assert await host.closed_with() == connections.CLOSE_TOO_SLOW


def test_long_messages_are_spread_over_frames():
    big = [Rejected(message_id="1", code="x", detail="y" * 700_000) for _ in range(3)]
    texts = consumers.frames_of(big)
    assert [len(codec.decode_server_frame(text)) for text in texts] == [1, 1, 1]


def test_many_messages_are_spread_over_frames():
    texts = consumers.frames_of([Ack(message_id=str(n)) for n in range(300)])
    assert [len(codec.decode_server_frame(text)) for text in texts] == [256, 44]


def test_offers_of_long_scripts_are_spread_over_frames():
    specs = tuple(wire.spec(n, script_content="#" * 700_000) for n in range(5))
    texts = consumers.frames_of([TasksBatch(message_id="1", tasks=specs)])
    batches = [batch for text in texts for batch in codec.decode_server_frame(text)]
    assert max(map(len, texts)) < 1_000_000
    assert [spec for batch in batches for spec in batch.tasks] == list(specs)


async def test_host_that_cannot_be_written_to_is_disconnected(host, monkeypatch):
    await host.greet()
    monkeypatch.setattr(consumers, "frames_of", lambda messages: 1 // 0)
    connections.get(host.agent_id).send([Ack(message_id="1")])
    assert await host.closed_with() == connections.CLOSE_TOO_SLOW


async def test_host_in_a_crowd_waits_for_its_turn(enrolled, monkeypatch):
    monkeypatch.setattr(admission, "admission", Admission(per_second=20))
    admission.admission.arrive(time.monotonic())
    began = time.monotonic()
    host = Host(enrolled[0].id, enrolled[1])
    await host.greet()
    assert time.monotonic() - began >= 0.04
    await host.socket.disconnect()


async def test_host_that_finds_the_line_too_long_is_told_to_come_again(enrolled, monkeypatch):
    crowd = Admission(per_second=1, longest_wait_seconds=0)
    monkeypatch.setattr(admission, "admission", crowd)
    crowd.arrive(time.monotonic())
    host = Host(enrolled[0].id, enrolled[1])
    connected, _ = await host.socket.connect(10)
    assert connected
    assert await host.closed_with() == connections.CLOSE_TRY_AGAIN
    assert crowd.turned_away == 1


async def test_strangers_take_no_place_in_the_line(enrolled, monkeypatch):
    line = Admission(per_second=1, longest_wait_seconds=0)
    monkeypatch.setattr(admission, "admission", line)
    for _ in range(3):
        connected, _ = await Host(enrolled[0].id, "dpa_wrong").socket.connect(10)
        assert not connected
    assert line.arrive(time.monotonic()) == 0
