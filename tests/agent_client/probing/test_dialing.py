"""Dial testing as a whole against a stand-in server: offline starts, restarts, requests."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from agent_client.outbox.outbox import Outbox
from agent_client.probing.dialing import Dialing, missed_before
from agent_client.probing.plan import first_after, phase_of
from agent_client.probing.results import Watermarks
from agent_client.probing.sync import StoredSet
from agent_client.protocol.probes import ProbeResult, ProbeRun
from agent_client.transport.backoff import make_backoff
from agent_client.transport.base import Endpoint
from tests.agent_client.fake_server import AGENT_ID, TOKEN, FakeServer, fake_server
from tests.agent_client.probing.probes import task
from tests.agent_client.test_app import config_for

NOW = 1_760_000_000.0


def http(server: FakeServer, task_id: int = 1, **changes):
    return task(task_id, **{"kind": "http", "target": server.url, "interval": 0.2, **changes})


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as found:
        found.dial.revision = 1
        yield found


@pytest.fixture
async def dialing(server, tmp_path) -> AsyncIterator[Dialing]:
    found = Dialing(
        config_for(server, tmp_path),
        agent_id=AGENT_ID,
        endpoint=lambda url: Endpoint(url, AGENT_ID, TOKEN),
        make_backoff=make_backoff,
    )
    yield found
    await asyncio.to_thread(found.stop)


async def until(holds) -> None:
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.01)


async def start(dialing: Dialing) -> None:
    await asyncio.to_thread(dialing.start)


def results(server: FakeServer) -> list[ProbeResult]:
    return list(server.dial.results.values())


async def test_results_arrive_when_the_server_names_a_probe(server, dialing):
    server.dial.probes = (http(server),)
    await start(dialing)
    await until(lambda: results(server))
    assert results(server)[0].outcome == "down"  # the stand-in refuses strangers with 401
    assert results(server)[0].details["status"] == 401


async def test_set_is_fetched_again_when_its_revision_changes(server, dialing):
    await start(dialing)
    await until(lambda: dialing.probe_pool().revision == 1)
    server.dial.revision, server.dial.probes = 2, (http(server),)
    dialing.named(2)
    await until(lambda: dialing.probe_pool().probes == 1)


async def test_probing_goes_on_without_the_server(server, dialing, tmp_path):
    server.dial.probes = (http(server),)
    await start(dialing)
    await until(lambda: dialing.probe_pool().probes == 1)
    await asyncio.to_thread(dialing.stop)
    server.http_status = 502
    await start(dialing)
    await until(lambda: dialing.probe_pool().executed >= 1)


async def test_requested_run_answers_with_its_id(server, dialing):
    server.dial.runs = (ProbeRun(request_id="r-1", task=http(server, 9)),)
    await start(dialing)
    await until(lambda: results(server))
    assert results(server)[0].request_id == "r-1"


async def test_stop_sends_the_last_results(server, dialing):
    server.dial.probes = (http(server),)
    await start(dialing)
    await until(lambda: dialing.probe_pool().executed >= 1)
    executed = dialing.probe_pool().executed
    await asyncio.to_thread(dialing.stop)
    assert len(results(server)) >= executed


async def test_unreadable_probe_file_is_as_good_as_none(server, dialing, tmp_path):
    (tmp_path / "probes.json").write_text("{")
    server.dial.probes = (http(server),)
    await start(dialing)
    await until(lambda: dialing.probe_pool().probes == 1)
    assert json.loads((tmp_path / "probes.json").read_text())["revision"] == 1


def test_runs_due_while_the_agent_was_dead_are_one_span_per_probe():
    probe = task(1, interval=10.0)
    last = first_after(NOW, phase_of(probe, "a"), 10.0)
    marks = Watermarks()
    marks.moments[1] = last
    (span,) = missed_before(StoredSet(1, (probe,)), marks, "a", last + 35)
    assert (span.reason, span.runs) == ("agent_restart", 3)
    assert (span.first, span.last) == pytest.approx((last + 10, last + 30))


def test_nothing_was_missed_when_the_restart_was_quick():
    probe = task(1, interval=10.0)
    last = first_after(NOW, phase_of(probe, "a"), 10.0)
    marks = Watermarks()
    marks.moments[1] = last
    assert missed_before(StoredSet(1, (probe,)), marks, "a", last + 9) == []


def test_probe_without_results_is_counted_from_when_it_was_known():
    probe = task(1, interval=10.0)
    known = first_after(NOW, phase_of(probe, "a"), 10.0) + 1
    stored = StoredSet(1, (probe,), {1: known})
    (span,) = missed_before(stored, Watermarks(), "a", known + 20)
    assert span.runs == 2


async def test_results_stay_when_the_wall_clock_is_set_forward(server, tmp_path, monkeypatch):
    nowhere = {"connection.agent_server_url": "http://127.0.0.1:1"}
    dialing = Dialing(
        # A small bound makes small segments; the one in use is never dropped.
        config_for(server, tmp_path, **{**nowhere, "connection.ws_outbox_max_size": 10}),
        agent_id=AGENT_ID,
        endpoint=lambda url: Endpoint(url, AGENT_ID, TOKEN),
        make_backoff=make_backoff,
    )
    wall = {"ahead": 0.0}
    # What an outbox goes by when nobody gives it a clock; its default was bound long ago.
    monkeypatch.setitem(
        Outbox.__init__.__kwdefaults__, "clock", lambda: time.time() + wall["ahead"]
    )
    await start(dialing)
    outbox, put = dialing._parts.outbox, dialing._parts.writer.put
    try:
        for wave in range(1, 4):  # what comes together lies in one segment
            for number in range(700):
                moment = NOW + 1_000 * wave + number
                put(ProbeResult(task_id=1, tenant_id="1", seq=0, outcome="up", started_at=moment))
            await until(lambda wave=wave: outbox.waiting == 700 * wave)
        assert len(outbox._segments) > 2
        wall["ahead"] = 10 * 365 * 86_400.0
        put(ProbeResult(task_id=1, tenant_id="1", seq=0, outcome="up", started_at=NOW))
        await until(lambda: outbox.waiting + outbox.dropped > 2_100)
        with outbox._lock:  # the commit keeps to the bounds before it lets go
            assert outbox.dropped == 0
    finally:
        await asyncio.to_thread(dialing.stop)
