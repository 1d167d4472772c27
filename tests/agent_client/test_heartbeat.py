"""Beats say everything when it matters, little else, and notice silence."""

from __future__ import annotations

import asyncio

import pytest

from agent_client import heartbeat
from agent_client.adaptive import Limits
from agent_client.heartbeat import Heart
from agent_client.protocol.digest import holds_digest
from agent_client.protocol.messages import Gpu, Heartbeat, Hold, Resources
from agent_client.sampler import HostSample

HOLD = Hold(task_id=1, offer=1, state="running")


class Body:
    """Everything a heart asks for, under a test's control."""

    def __init__(self) -> None:
        self.now = 100.0
        self.held: tuple[Hold, ...] = ()
        self.busy = False
        self.sample = HostSample()
        self.limits: Limits | None = None
        self.numbers = iter(range(1000))
        self.is_ready = True
        self.beats: list[Heartbeat] = []
        self.dropped: list[str] = []
        self.beaten = asyncio.Event()
        self.heart = Heart(
            agent_id="a",
            instance_id="i",
            interval_seconds=2.0,
            holds=lambda: self.held,
            is_busy=lambda: self.busy,
            sample=lambda: self.sample,
            next_id=lambda: str(next(self.numbers)),
            limits=lambda: self.limits,
            clock=lambda: self.now,
        )

    def send_beat(self, beat: Heartbeat) -> None:
        self.beats.append(beat)
        self.beaten.set()

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)

    def told(self) -> Heartbeat:
        """Return a beat that the server confirms."""
        beat = self.heart.build()
        self.heart.confirmed([beat.message_id])
        return beat


@pytest.fixture
def body() -> Body:
    return Body()


def test_first_beat_says_all_when_nothing_was_told(body):
    body.held = (HOLD,)
    beat = body.heart.build()
    assert (beat.agent_id, beat.instance_id, beat.holds) == ("a", "i", (HOLD,))
    assert beat.holds_digest == holds_digest([HOLD])


def test_only_the_digest_is_said_when_nothing_changed(body):
    body.held = (HOLD,)
    body.told()
    assert body.heart.build().holds is None
    assert body.heart.build().holds_digest == holds_digest([HOLD])


def test_holds_are_said_again_when_the_beat_was_not_confirmed(body):
    body.heart.build()
    assert body.heart.build().holds == ()


def test_holds_are_said_when_they_changed(body):
    body.told()
    body.held = (HOLD,)
    assert body.told().holds == (HOLD,)
    body.held = ()
    assert body.told().holds == ()


def test_holds_are_said_every_30_seconds_when_nothing_changed(body):
    body.told()
    body.now += 29.9
    assert body.heart.build().holds is None
    body.now += 0.1
    assert body.heart.build().holds == ()


def test_holds_are_said_when_the_connection_is_new(body):
    body.told()
    body.heart.disconnected()
    assert body.heart.build().holds == ()


def test_beat_carries_the_last_sample_when_there_is_one(body):
    gpu = Gpu(uuid="g", index=0)
    body.sample = HostSample(resources=Resources(cpu_usage=7.0), gpus=(gpu,))
    beat = body.heart.build()
    assert beat.resources is not None
    assert (beat.resources.cpu_usage, beat.gpus) == (7.0, (gpu,))


def test_unconfirmed_beats_are_bounded_when_nobody_answers(body):
    for _ in range(500):
        body.heart.build()
    assert len(body.heart._unconfirmed) <= 64


@pytest.mark.parametrize(("said", "kept"), [(5.0, 5.0), (None, 2.0), (0.0, 2.0)])
def test_pace_is_the_servers_when_it_sets_one(body, said, kept):
    body.heart.set_interval(said)
    assert body.heart.interval_seconds == kept


async def beat_once(body: Body) -> None:
    """Let the heart beat once."""
    running = asyncio.create_task(body.heart.run(body))
    await body.beaten.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_connection_is_dropped_when_nobody_answers_for_long(body):
    body.now += heartbeat.MIN_SILENCE_SECONDS + 0.1
    await beat_once(body)
    assert len(body.dropped) == 1


@pytest.mark.parametrize(("interval", "silence"), [(2.0, 9.9), (10.0, 29.9)])
async def test_connection_is_kept_when_the_silence_is_short(body, interval, silence):
    body.heart.set_interval(interval)
    body.now += silence
    await beat_once(body)
    assert body.dropped == []


async def test_silence_is_counted_anew_when_something_was_confirmed(body):
    body.now += 100
    body.heart.confirmed([])
    await beat_once(body)
    assert body.dropped == []


async def test_beat_goes_at_once_when_a_connection_is_made(body):
    body.is_ready = False
    body.heart.set_interval(1000.0)
    running = asyncio.create_task(body.heart.run(body))
    await asyncio.sleep(0)
    assert body.beats == []
    body.is_ready = True
    body.heart.connected()
    async with asyncio.timeout(5):
        await body.beaten.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(("busy", "interval", "pause"), [(True, 2.0, 1.0), (False, 2.0, 2.0)])
async def test_beats_are_faster_when_tasks_run(body, busy, interval, pause, monkeypatch):
    pauses = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.Event().wait()

    monkeypatch.setattr(body.heart, "_pause", note)
    body.busy = busy
    body.heart.set_interval(interval)
    await beat_once(body)
    assert pauses in ([pause], [])
    running = asyncio.create_task(body.heart.run(body))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert pauses[0] == pause


def test_beat_says_what_a_loaded_host_allows_itself(body):
    body.sample = HostSample(resources=Resources(cpu_usage=99))
    body.limits = Limits(slots=2, bandwidth_mb=5, factor=0.5, cause="load")
    found = body.heart.build().resources
    assert (found.slots_allowed, found.bandwidth_limit_mb, found.adaptive_factor) == (2, 5, 0.5)
    assert found.adaptive_cause == "load"


def test_beat_says_nothing_of_limits_that_are_not_adapted(body):
    body.sample = HostSample(resources=Resources(cpu_usage=99))
    assert body.heart.build().resources.slots_allowed is None
