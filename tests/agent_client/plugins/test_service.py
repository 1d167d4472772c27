"""Plug-ins of a whole agent against a server on a real socket."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from agent_client.app import App, make_backoff
from agent_client.plugins.allowed_files import NotAllowed, check_allowed
from agent_client.plugins.service import Plugins
from agent_client.policy import PluginRules, Policy
from agent_client.policy_file import POLICY_FILE, write_default
from agent_client.protocol.messages import Ack, Answer, Heartbeat, Welcome
from agent_client.protocol.plugins import PluginSample, PluginState, PluginWanted
from agent_client.transport import polling
from tests.agent_client.fake_server import AGENT_ID, TOKEN, FakeServer
from tests.agent_client.plugins.processes import processes_with
from tests.agent_client.test_app import config_for, running_app

ROOT = Path(__file__).resolve().parents[3]
CPU = PluginWanted("cpu", interval_seconds=0.2)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_client.plugins.service.BATCH_SECONDS", 0.1)


@pytest.fixture
async def app(server, tmp_path) -> AsyncIterator[App]:
    async with running_app(config_for(server, tmp_path)) as found:
        await found.link.wait_ready()
        yield found


def told(server: FakeServer) -> tuple[PluginState, ...]:
    """Return the states in the newest beat."""
    beats = server.brain.of(Heartbeat)
    return beats[-1].plugins if beats else ()


async def name_revision(server: FakeServer) -> None:
    await server.send(Ack(message_id="", plugins_revision=server.plugins.wanted.revision))


def samples_of(server: FakeServer, name: str) -> list[PluginSample]:
    return [one for one in server.plugins.samples if one.plugin == name]


async def test_samples_arrive_when_the_server_names_a_revision(app, server):
    server.plugins.want(CPU)
    await name_revision(server)
    await server.until(lambda: [one.condition for one in told(server)] == ["running"])
    await server.until(lambda: len(samples_of(server, "cpu")) >= 3)
    assert 0 <= samples_of(server, "cpu")[-1].metrics["usage_percent"] <= 100
    assert told(server)[0].version


# --- what is wanted --------------------------------------------------------------------


def conditions(server: FakeServer) -> dict[str, str]:
    return {one.name: one.condition for one in told(server)}


async def test_plugin_is_unloaded_when_it_is_wanted_no_more(app, server):
    server.plugins.want(CPU, PluginWanted("memory", interval_seconds=0.2))
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"cpu": "running", "memory": "running"})
    server.plugins.want(CPU)
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"cpu": "running"})


async def test_interval_changes_without_a_restart(app, server):
    server.plugins.want(PluginWanted("cpu", interval_seconds=3600))
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"cpu": "running"})
    pid = app.plugins._host._runners["cpu"].guard_pid
    server.plugins.want(CPU)
    await name_revision(server)
    await server.until(lambda: len(samples_of(server, "cpu")) >= 4)
    assert app.plugins._host._runners["cpu"].guard_pid == pid


async def test_wrong_configuration_is_told_with_its_field(app, server):
    server.plugins.want(PluginWanted("cpu", config={"per_core": 3}))
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"cpu": "failed"})
    assert "per_core: must be true or false" in told(server)[0].detail


async def test_unknown_plugin_is_refused(app, server):
    server.plugins.want(PluginWanted("nonsense"), CPU)
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"nonsense": "refused", "cpu": "running"})


async def test_more_plugins_than_a_beat_tells_of_are_not_run(app, server):
    server.plugins.want(*(PluginWanted(f"p{n}") for n in range(60)), CPU)
    await name_revision(server)
    await server.until(lambda: len(told(server)) == 50)


async def test_known_plugins_go_on_when_the_agent_starts_without_a_server(server, tmp_path):
    server.plugins.want(CPU)
    config = config_for(server, tmp_path)
    async with running_app(config) as app:
        await server.until(lambda: samples_of(server, "cpu"))
    server.plugins.samples.clear()
    server.http_status = 503
    async with running_app(config) as app:
        await until(lambda: len(app.plugins._buffer) >= 3)
        server.http_status = 200
        await server.until(lambda: len(samples_of(server, "cpu")) >= 3)


async def until(holds) -> None:
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.01)


# --- the host's policy -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        (Policy(work=("scripts",)), "work: plugins"),
        (Policy(plugins=PluginRules(allowed=())), "plugins.allowed: cpu"),
        (Policy(plugins=PluginRules(allowed=("memory",))), "plugins.allowed: cpu"),
    ],
)
async def test_plugin_is_refused_with_the_rule_of_the_policy(app, server, policy, rule):
    app.plugins.limit(policy)
    server.plugins.want(CPU)
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"cpu": "refused"})
    assert rule in told(server)[0].detail
    assert samples_of(server, "cpu") == []


async def test_running_plugin_ends_when_the_policy_forbids_it(app, server):
    server.plugins.want(CPU)
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"cpu": "running"})
    guard = app.plugins._host._runners["cpu"].guard_pid
    app.reconfigure(app.config, Policy(work=("scripts",)))
    await server.until(lambda: conditions(server) == {"cpu": "refused"})
    assert not psutil.pid_exists(guard)
    app.reconfigure(app.config, Policy(plugins=PluginRules(allowed=("cpu",))))
    await server.until(lambda: conditions(server) == {"cpu": "running"})


# --- the end of the agent ----------------------------------------------------------------


async def test_no_process_is_left_when_the_agent_ends(server, tmp_path):
    server.plugins.want(CPU, PluginWanted("memory", interval_seconds=0.2))
    async with running_app(config_for(server, tmp_path)):
        await server.until(lambda: conditions(server) == {"cpu": "running", "memory": "running"})
        assert len(processes_with(tmp_path)) == 4
    assert processes_with(tmp_path) == []


async def test_no_process_is_left_when_the_agent_is_killed(server, tmp_path):
    server.plugins.want(CPU, PluginWanted("memory", interval_seconds=0.2))
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    identity = {"instance_id": "i", "agent_id": AGENT_ID, "agent_token": TOKEN}
    (state / "identity.json").write_text(json.dumps({**identity, "server": server.url}))
    write_default(state / POLICY_FILE)
    arguments = ["main", "--server", server.url, "--state-dir", str(state)]
    agent = subprocess.Popen(
        [sys.executable, "-m", "agent_client", *arguments],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await server.until(
            lambda: conditions(server) == {"cpu": "running", "memory": "running"}, 40
        )
        assert len(processes_with(state / "plugins")) == 4
    finally:
        agent.kill()
        agent.wait()
    await until(lambda: not processes_with(state / "plugins"))


async def test_heartbeats_go_on_while_a_plugin_hangs(app, server):
    server.plugins.want(CPU)
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"cpu": "running"})
    for one in psutil.Process(app.plugins._host._runners["cpu"].guard_pid).children():
        one.suspend()
    before = len(server.brain.of(Heartbeat))
    await server.until(lambda: len(server.brain.of(Heartbeat)) >= before + 10)


async def test_plugins_go_on_when_one_round_fails(app, server, monkeypatch):
    server.plugins.want(CPU)
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"cpu": "running"})

    async def fail(names: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(app.plugins._programs, "keep_only", fail)
        server.plugins.want(CPU, PluginWanted("memory", interval_seconds=0.2))
        await name_revision(server)
        await server.until(lambda: conditions(server) == {"cpu": "running", "memory": "running"})
    server.plugins.want(PluginWanted("memory", interval_seconds=0.2))
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"memory": "running"})


def test_revision_comes_with_every_answer_of_polling():
    answer = Answer(plugins_revision=7)
    assert polling._welcome(answer).plugins_revision == 7
    acks = [one for one in polling._messages(answer) if isinstance(one, Ack)]
    assert [one.plugins_revision for one in acks] == [7]


async def test_set_is_fetched_when_the_welcome_names_another_revision(server, tmp_path):
    async with running_app(config_for(server, tmp_path)) as app:
        await until(lambda: server.plugins.fetched == 1)  # at the start, whatever is named
        server.plugins.want(CPU)
        app.dispatcher.on_message(
            Welcome("", epoch=1, heartbeat_interval=0.2, installation="inst", server_time=0.0)
        )
        assert server.plugins.fetched == 1  # 0 names nothing
        app.dispatcher.on_message(
            Welcome(
                "",
                epoch=1,
                heartbeat_interval=0.2,
                installation="inst",
                server_time=0.0,
                plugins_revision=1,
            )
        )
        await server.until(lambda: conditions(server) == {"cpu": "running"})


async def test_no_plugin_reads_what_the_agent_keeps_for_itself(server, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "agent.yaml").write_text("heartbeat_interval: 5\n")
    config = dataclasses.replace(
        config_for(server, tmp_path / "state"),
        config_file=own / "agent.yaml",
        policy_file=own / "policy.yaml",
    )
    plugins = Plugins(
        config,
        agent_id=AGENT_ID,
        endpoint=lambda _server: pytest.fail("nothing is to be sent"),
        make_backoff=make_backoff,
        policy=Policy(directories=(str(tmp_path),)),
    )
    program = await plugins._programs.prepare(PluginWanted("log_tail"))
    for path in (own / "agent.yaml", config.state_dir / "identity.json"):
        with pytest.raises(NotAllowed, match="belongs to the agent"):
            check_allowed(str(path), directories=program.directories, hidden=program.hidden)
    assert str(own / "policy.yaml") in program.hidden
