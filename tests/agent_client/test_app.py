"""The whole agent against a server on a real socket, with real scripts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_client.app import App
from agent_client.config import AgentConfig, load_config
from agent_client.errors import Terminal
from agent_client.policy import Policy
from agent_client.protocol.messages import Desired, Heartbeat, LogChunk, Refused, Result
from agent_client.resource_util import ResourceUtil
from agent_client.state import Identity, StateDirectory
from tests.agent_client.fake_server import AGENT_ID, TOKEN, FakeServer, fake_server, spec

PATH = "/usr/local/bin:/usr/bin:/bin"


def config_for(server: FakeServer, state_dir: Path, **changes: object) -> AgentConfig:
    settings = {
        "connection.agent_server_url": server.url,
        "connection.ws_backoff_initial_ms": 20,
        "connection.ws_backoff_max_ms": 50,
        "state_dir": str(state_dir),
        **changes,
    }
    return load_config(settings, {"HOME": str(state_dir)}, state_dir)


@contextlib.asynccontextmanager
async def running_app(config: AgentConfig, *, policy: Policy | None = None) -> AsyncIterator[App]:
    identity = Identity(instance_id="i", agent_id=AGENT_ID, agent_token=TOKEN)
    app = App(
        config,
        state=StateDirectory(config.state_dir),
        identity=identity,
        resources=ResourceUtil(state_dir=config.state_dir),
        login_environment={"PATH": PATH},
        policy=policy,
    )
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as found:
        yield found


@pytest.fixture(params=["websocket", "polling"])
async def app(server, tmp_path, request) -> AsyncIterator[App]:
    config = config_for(server, tmp_path, **{"connection.transport": request.param})
    async with running_app(config) as found:
        await found.link.wait_ready()
        yield found


async def ended(server: FakeServer, task_id: int = 1) -> Result:
    await server.until(lambda: task_id in server.brain.results)
    return server.brain.results[task_id]


async def test_task_completes_with_log_when_offered(app, server):
    await server.offer(spec(1, "echo hello; exit 3"))
    result = await ended(server)
    assert (result.reason, result.exit_code, result.log_bytes) == ("exit", 3, 6)
    assert server.brain.logs[1] == b"hello\n"
    states = [kind for kind in server.brain.kinds() if kind != "Hello"]
    assert states == ["Accepted", "Started", "Result"]


async def test_log_goes_out_when_the_disk_refuses_the_name_of_the_installation(
    server, tmp_path, monkeypatch
):
    def refuse(*_args: object) -> None:
        raise Terminal("identity.json: Input/output error", code="state_unusable")

    monkeypatch.setattr(StateDirectory, "save_identity", refuse)
    async with running_app(config_for(server, tmp_path)) as app:
        await app.link.wait_ready()
        await server.offer(spec(1, "echo hello"))
        await ended(server)
        assert server.brain.logs[1] == b"hello\n"
        assert app.identity.installation == "", "it is asked for again at the next welcome"


async def test_directory_is_deleted_when_server_forgets(app, server, tmp_path):
    await server.offer(spec(1, "echo hello"))
    await ended(server)
    await server.until(lambda: not app.runs.holds())
    assert app.ledger.slots_booked == 0


NUMBERED = "for i in $(seq 1 40); do echo line $i; sleep 0.02; done"
LINES = "".join(f"line {number}\n" for number in range(1, 41)).encode()


async def test_every_line_arrives_once_when_the_connection_is_cut_again_and_again(app, server):
    await server.offer(spec(1, NUMBERED))
    for number in (5, 15, 25):
        await server.until(lambda n=number: b"line %d\n" % n in server.brain.logs.get(1, b""))
        await server.cut()
    result = await ended(server)
    await server.until(lambda: server.brain.logs[1] == LINES)
    assert result.log_bytes == len(LINES)
    assert server.brain.kinds().count("Result") >= 1


async def test_script_ends_within_its_grace_when_it_is_canceled(app, server):
    await server.offer(spec(1, "trap '' TERM; echo up; sleep 60 & wait; sleep 60"))
    await server.until(lambda: server.brain.logs.get(1) == b"up\n")
    await server.cancel(1, grace_seconds=0.2)
    result = await ended(server)
    assert (result.reason, result.exit_code) == ("user_cancel", None)


async def test_script_is_told_its_booking_when_it_starts(app, server):
    await server.offer(
        spec(1, "echo $DIALER_TASK_ID $DIALER_CPU_CORES; taskset -cp $$", cpu_cores=1)
    )
    await ended(server)
    first, second = server.brain.logs[1].decode().splitlines()
    assert first == "1 1"
    assert second.rpartition(":")[2].strip().isdigit()


async def test_offer_is_refused_when_all_slots_are_taken(server, tmp_path):
    config = config_for(server, tmp_path, **{"task.max_concurrent_tasks": 1})
    async with running_app(config) as app:
        await app.link.wait_ready()
        await server.offer(spec(1, "sleep 5"), spec(2, "true"))
        await server.until(lambda: "Refused" in server.brain.kinds())
        assert server.brain.of(Refused)[0].code == "no_free_slot"
        await server.cancel(1)
        await ended(server)


async def test_nothing_starts_when_the_server_does_not_say_go(app, server, tmp_path):
    server.brain.say_go = False
    await server.offer(spec(1, f"touch {tmp_path}/started"))
    await server.until(lambda: "Accepted" in server.brain.kinds())
    await server.until(lambda: any(beat.holds for beat in server.brain.of(Heartbeat)))
    assert not (tmp_path / "started").exists()
    assert [hold.state for hold in app.runs.holds()] == ["accepted"]


async def test_lost_go_heals_when_the_server_wants_the_task_to_run(app, server):
    server.brain.say_go = False
    await server.offer(spec(1, "echo healed"))
    await server.until(lambda: "Accepted" in server.brain.kinds())
    server.brain.desired = [Desired(task_id=1, offer=1, want="run", spec=spec(1, "echo healed"))]
    await ended(server)
    assert server.brain.logs[1] == b"healed\n"


async def test_task_goes_on_and_is_adopted_when_the_agent_restarts(server, tmp_path):
    config = config_for(server, tmp_path)
    async with running_app(config) as app:
        await app.link.wait_ready()
        await server.offer(spec(1, NUMBERED, cpu_cores=1))
        await server.until(lambda: b"line 5\n" in server.brain.logs.get(1, b""))
    async with running_app(config) as app:
        await server.until(lambda: b"line 10\n" in server.brain.logs[1])
        assert app.ledger.cpu_cores_booked == 1
        await ended(server)
    assert server.brain.logs[1] == LINES


async def test_end_while_the_agent_was_away_is_reported_when_it_is_back(server, tmp_path):
    config = config_for(server, tmp_path)
    async with running_app(config) as app:
        await app.link.wait_ready()
        script = f"echo begin; while [ ! -e {tmp_path}/end ]; do sleep 0.02; done; echo end; exit 4"
        await server.offer(spec(1, script))
        await server.until(lambda: server.brain.logs.get(1) == b"begin\n")
    (tmp_path / "end").touch()
    async with running_app(config):
        result = await ended(server)
    assert (result.reason, result.exit_code) == ("exit", 4)
    assert server.brain.logs[1] == b"begin\nend\n"


async def test_result_is_repeated_when_it_was_never_confirmed(app, server):
    server.brain.forget_results = False
    await server.offer(spec(1, "true"))
    await ended(server)
    assert [hold.state for hold in app.runs.holds()] == ["finished"]
    server.brain.desired = [Desired(task_id=1, offer=1, want="forget")]
    await server.until(lambda: not app.runs.holds())


async def test_large_log_is_whole_when_it_is_shipped_through_windows(app, server):
    await server.offer(spec(1, "seq 1 2000000 | head -c 12000000"))
    result = await ended(server)
    await server.until(lambda: len(server.brain.logs[1]) == result.log_bytes)
    expected = b"".join(b"%d\n" % number for number in range(1, 2_000_001))[:12_000_000]
    assert server.brain.logs[1] == expected


async def test_log_is_taken_again_when_the_server_is_busy(app, server):
    server.brain.refuse_chunks = "slow_down"
    await server.offer(spec(1, "echo patience"))
    await server.until(lambda: server.brain.of(LogChunk))
    server.brain.refuse_chunks = ""
    await server.until(lambda: server.brain.logs.get(1) == b"patience\n")


async def test_installation_is_remembered_when_the_server_welcomes(app, server, tmp_path):
    stored = StateDirectory(tmp_path).load_identity()
    assert stored is not None
    assert stored.installation == "inst"


async def test_agent_fails_as_a_whole_when_a_part_ends(server, tmp_path, monkeypatch):
    async def broken(*_: object) -> None:
        raise RuntimeError("a part broke")

    monkeypatch.setattr("agent_client.heartbeat.Heart.run", broken)
    async with running_app(config_for(server, tmp_path)) as app:
        with pytest.raises(RuntimeError, match="a part broke"):
            await app.failed


async def test_other_parts_are_stopped_when_one_does_not_stop(server, tmp_path, caplog):
    async with running_app(config_for(server, tmp_path)) as app:
        app._started[2] = app._started[2]._replace(stop=_broken_stop)
    assert "did not stop cleanly" in caplog.text
    assert app._started == []


def _broken_stop() -> None:
    raise OSError("stuck")
