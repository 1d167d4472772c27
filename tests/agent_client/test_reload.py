"""Reload: what a changed configuration changes in an agent that runs, and what it does not."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace

import pytest

from agent_client import policy as policy_module
from agent_client.config import SETTINGS, AgentConfig, load_config
from agent_client.policy import Policy, ProbeTargets
from agent_client.protocol.messages import Hello, Resources
from agent_client.reload import changes_between, is_live
from tests.agent_client.fake_server import fake_server, spec
from tests.agent_client.probing.probes import task
from tests.agent_client.test_app import config_for, running_app
from tests.agent_client.test_main_agent import Host, host

__all__ = ["host"]


@pytest.fixture
def config(tmp_path) -> AgentConfig:
    return load_config({"state_dir": str(tmp_path)}, {"HOME": str(tmp_path)}, tmp_path)


def test_same_configuration_changes_nothing(config):
    assert changes_between(config, config) == ((), ())


def test_changes_are_told_apart_by_when_they_take_effect(config):
    other = replace(
        config,
        task=replace(config.task, max_concurrent_tasks=2, heartbeat_interval=9),
        resource_adaptive=replace(config.resource_adaptive, enabled=True),
        enroll_token="dpe_other",
    )
    found = changes_between(config, other)
    assert set(found.live) == {"task.max_concurrent_tasks", "resource_adaptive.enabled"}
    assert found.at_next_start == ("task.heartbeat_interval",)


@pytest.mark.parametrize("key", ["state_dir", "connection.agent_server_url", "health.port"])
def test_what_running_tasks_stand_on_waits_for_the_next_start(key):
    assert key in SETTINGS
    assert not is_live(key)


async def test_running_task_goes_on_and_new_limits_hold_for_the_next(tmp_path):
    async with fake_server() as server:
        config = config_for(server, tmp_path)
        async with running_app(config) as app:
            await app.link.wait_ready()
            await server.offer(spec(1, "sleep 0.5; echo done"))
            await server.until(lambda: "Started" in server.brain.kinds())
            changed = replace(config, task=replace(config.task, max_concurrent_tasks=1))
            app.reconfigure(changed, Policy(work=("scripts",)))
            await server.until(lambda: 1 in server.brain.results)
            assert server.brain.results[1].exit_code == 0
            assert app.throttle.limits.slots == 1
            assert app.hello().capacity.slots == 1


async def test_server_is_told_whether_scripts_run_apart_from_the_agent(tmp_path, monkeypatch):
    monkeypatch.setattr(policy_module, "is_root", lambda: True)
    async with fake_server() as server:
        config = config_for(server, tmp_path)
        async with running_app(config, policy=Policy(run_as=("build",))) as app:
            await app.link.wait_ready()
            assert server.brain.of(Hello)[0].system["isolation"] == "other-users"
            app.reconfigure(config, Policy())
            await server.until(lambda: len(server.brain.of(Hello)) == 2)
            assert server.brain.of(Hello)[1].system["isolation"] == "same-user"


async def test_probe_only_policy_refuses_scripts_from_the_reload_on(tmp_path):
    async with fake_server() as server:
        config = config_for(server, tmp_path)
        async with running_app(config) as app:
            await app.link.wait_ready()
            app.reconfigure(config, Policy(work=("probes",)))
            app.runs.offers([spec(1, "true")])
            assert app.runs.holds() == ()


async def test_host_without_tasks_takes_none_after_a_reload_or_under_load(tmp_path):
    async with fake_server() as server:
        config = config_for(server, tmp_path, **{"resource_adaptive.enabled": True})
        async with running_app(config, policy=Policy(max_tasks=0)) as app:
            await app.link.wait_ready()
            app.reconfigure(config, Policy(max_tasks=0))
            # Exactly what a sample of a busy host does to the ledger.
            app.throttle._sample = lambda: Resources(cpu_usage=99, load_1m=999)
            app.throttle.observe()
            assert app.throttle.limits.factor < 1
            app.runs.offers([spec(1, "true")])
            assert app.runs.holds() == ()
            assert app.hello().capacity.slots == 0


@pytest.mark.parametrize(
    "policy",
    [
        Policy(probe_targets=ProbeTargets(deny=("127.0.0.0/8",))),
        Policy(work=("scripts",)),
    ],
    ids=["addresses", "work"],
)
async def test_probes_keep_to_the_policy_of_the_reload(tmp_path, policy):
    async with fake_server() as server:
        server.dial.revision = 1
        server.dial.probes = (task(1, kind="http", target=server.url, interval=0.2),)
        async with running_app(config_for(server, tmp_path)) as app:
            await server.until(lambda: server.dial.results)
            assert {one.reason for one in server.dial.results.values()} != {"denied"}
            app.reconfigure(app.config, policy)
            await server.until(
                lambda: any(one.reason == "denied" for one in server.dial.results.values())
            )


async def said(process: asyncio.subprocess.Process, text: str) -> str:
    """Return the agent's lines up to the one that holds the text."""
    lines = ""
    async with asyncio.timeout(20):
        while text not in lines:
            line = await process.stderr.readline()
            assert line, lines
            lines += line.decode()
    return lines


async def test_hang_up_reads_the_file_anew(host: Host, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("task: {max_concurrent_tasks: 4}\n")
    async with host.agent("--config", str(file)) as process:
        await host.connected()
        file.write_text("task: {max_concurrent_tasks: 2, heartbeat_interval: 7}\n")
        process.send_signal(signal.SIGHUP)
        lines = await said(process, "configuration reloaded")
        assert "in effect: task.max_concurrent_tasks" in lines
        assert "at the next start: task.heartbeat_interval" in lines


async def test_file_with_a_mistake_changes_nothing(host: Host, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("{}\n")
    async with host.agent("--config", str(file)) as process:
        await host.connected()
        file.write_text("task: {max_concurrent_tasks: many}\n")
        process.send_signal(signal.SIGHUP)
        assert "task.max_concurrent_tasks" in await said(process, "config_invalid")
        assert process.returncode is None
        assert host.server.is_connected
