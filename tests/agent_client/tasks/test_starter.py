"""The zygote is replaced when it dies, and done without when it cannot live."""

from __future__ import annotations

import os
import signal

from agent_client.tasks import starter
from agent_client.tasks.starter import SubAgentProcess
from tests.agent_client.sub_agent.processes import living_with
from tests.agent_client.tasks.conftest import log_of


async def test_running_task_does_not_notice_when_the_zygote_dies(host):
    task = await host.launch(script="echo begin; sleep 0.3; echo end; exit 4")
    await host.until_log(task, b"begin")
    os.kill(host.supervisor._starter.zygote_pid, signal.SIGKILL)
    await host.until(lambda: task.state == "finished")
    assert task.exit.exit_code == 4
    assert log_of(task.directory) == b"begin\nend\n"


async def test_new_tasks_start_when_the_zygote_was_replaced(host):
    before = host.supervisor._starter.zygote_pid
    os.kill(before, signal.SIGKILL)
    # A start that meets the dying zygote is settled by its claim: once or not at all.
    first = await host.run(1, script="echo one")
    second = await host.run(2, script="echo two")
    assert first.exit.reason in ("exit", "supervisor_lost")
    assert second.exit.exit_code == 0
    assert host.supervisor._starter.zygote_pid != before


async def test_task_is_found_by_its_claim_when_the_answer_got_lost(host, monkeypatch):
    real = host.supervisor._starter.start_sub_agent

    async def lost(directory) -> SubAgentProcess:
        os.close((await real(directory)).pidfd)
        raise starter.StartUnknown("lost")

    monkeypatch.setattr(host.supervisor._starter, "start_sub_agent", lost)
    task = await host.run(script="sleep 0.8; exit 6")
    assert task.exit.exit_code == 6


async def test_task_is_abandoned_when_the_request_got_lost(host, monkeypatch):
    async def lost(directory) -> SubAgentProcess:
        raise starter.StartUnknown("lost")

    monkeypatch.setattr(host.supervisor._starter, "start_sub_agent", lost)
    task = await host.run(script="echo no")
    assert task.exit.reason == "supervisor_lost"
    assert task.directory.claim().abandoned


async def test_task_fails_to_start_when_no_process_can_be_made(host, monkeypatch):
    async def refused(directory) -> SubAgentProcess:
        raise starter.StartRefused("no process could be made: too many")

    monkeypatch.setattr(host.supervisor._starter, "start_sub_agent", refused)
    task = await host.run(script="echo no")
    assert (task.exit.reason, task.exit.exit_code) == ("start_failed", None)
    assert "too many" in task.exit.detail


async def test_plain_processes_are_used_when_the_zygote_cannot_start(make_host, monkeypatch):
    def refuse(self):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(starter.Starter, "_spawn_zygote", refuse)
    host = await make_host()
    task = await host.run(script="echo plain; exit 2")
    assert task.exit.exit_code == 2
    assert log_of(task.directory) == b"plain\n"


async def test_plain_processes_are_used_when_the_zygote_keeps_dying(make_host, monkeypatch):
    monkeypatch.setattr(starter, "_INTERPRETER", ("/bin/false",))
    monkeypatch.setattr(starter, "READY_SECONDS", 5)
    host = await make_host()
    monkeypatch.undo()
    task = await host.run(script="echo plain")
    assert log_of(task.directory) == b"plain\n"


async def test_sub_agents_stay_when_the_supervisor_closes(make_host):
    host = await make_host()
    task = await host.launch(script="echo begin; sleep 60; true")
    await host.until_log(task, b"begin")
    await host.supervisor.close()
    assert task.identity.pid in living_with(host.mark)
    assert task.directory.claim_is_held()
    again = await make_host()
    assert again.supervisor.tasks()[1, 1].state == "running"
