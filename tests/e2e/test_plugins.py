"""Plug-ins through a real server and real agents: activated, configured, killed, installed."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.agent_client.plugins.packages import Author
from tests.agent_client.plugins.processes import processes_with
from tests.e2e.stack import Stack, wait_for

pytestmark = pytest.mark.e2e


def change(stack: Stack, agent: str, name: str, method: str = "PUT", **body: Any) -> Any:
    """Change a plug-in of a host as the administrator."""
    url = f"{stack.url}/api/v1/agents/{agent}/plugins/{name}/"
    answer = stack._session.request(method, url, json=body, timeout=30)
    assert answer.status_code in (200, 204), answer.text
    return answer.json() if answer.content else None


def reported(stack: Stack, agent: str, name: str) -> dict[str, Any]:
    """Return what the host last said of a plug-in."""
    found = stack.get(f"/api/v1/agents/{agent}/plugins/{name}/").json()
    return dict(found["reported"] or {"condition": "", "version": "", "detail": ""})


def spans(stack: Stack, agent: str, name: str) -> list[dict[str, Any]]:
    return list(stack.get(f"/api/v1/agents/{agent}/plugins/{name}/samples/").json()["spans"])


def lines(stack: Stack, agent: str) -> list[str]:
    found = stack.get(f"/api/v1/agents/{agent}/plugins/log_tail/lines/?limit=1000").json()
    return [one["text"] for one in found["lines"]]


def wait_condition(stack: Stack, agent: str, name: str, condition: str) -> dict[str, Any]:
    try:
        wait_for(lambda: reported(stack, agent, name)["condition"] == condition, seconds=60)
    except AssertionError as error:
        raise AssertionError(stack.output_of("agent-host1")) from error
    return reported(stack, agent, name)


def plugin_processes(stack: Stack, name: str = "host1") -> list[Any]:
    return processes_with(stack.directory / f"agent-{name}" / "plugins")


def test_plugin_is_activated_configured_and_removed(own_stack: Stack) -> None:
    stack = own_stack
    agent = stack.start_agent()
    change(stack, agent, "cpu", interval_seconds=1)
    wait_condition(stack, agent, "cpu", "running")
    wait_for(lambda: spans(stack, agent, "cpu"), seconds=40)
    change(stack, agent, "cpu", interval_seconds=1, config={"per_core": "wrong"})
    assert "per_core" in wait_condition(stack, agent, "cpu", "failed")["detail"]
    change(stack, agent, "cpu", interval_seconds=1, config={"per_core": True})
    wait_condition(stack, agent, "cpu", "running")
    change(stack, agent, "cpu", method="DELETE")
    wait_for(lambda: not plugin_processes(stack), seconds=40)


def test_lines_of_a_log_arrive_once_through_restarts_of_agent_and_server(own_stack: Stack) -> None:
    stack = own_stack
    log = stack.directory / "logs" / "app.log"
    log.parent.mkdir()
    log.touch()
    # The default policy allows the home directory; let it be this one.
    environment = {"HOME": str(stack.directory)}
    agent = stack.start_agent(**environment)
    change(stack, agent, "log_tail", interval_seconds=1, config={"paths": [str(log)]})
    wait_condition(stack, agent, "log_tail", "running")
    written: list[str] = []

    def write(count: int) -> None:
        with log.open("a", encoding="utf-8") as file:
            for _ in range(count):
                written.append(f"line {len(written)}")
                file.write(written[-1] + "\n")

    write(50)
    wait_for(lambda: lines(stack, agent) == written, seconds=40)
    stack.kill_server()
    write(50)
    log.rename(log.with_name("app.log.1"))
    write(50)
    stack.start_server()
    wait_for(lambda: lines(stack, agent) == written, seconds=60)
    process = stack.agents.pop("host1")
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    write(50)
    stack.start_agent(**environment)
    wait_for(lambda: lines(stack, agent) == written, seconds=60)


def test_no_plugin_is_left_when_the_agent_is_killed(own_stack: Stack) -> None:
    stack = own_stack
    agent = stack.start_agent()
    for name in ("cpu", "memory", "disk", "network"):
        change(stack, agent, name, interval_seconds=1)
    for name in ("cpu", "memory", "disk", "network"):
        wait_condition(stack, agent, name, "running")
    assert len(plugin_processes(stack)) == 8  # each with its guard
    stack.kill_agent()
    wait_for(lambda: not plugin_processes(stack), seconds=15)
    stack.start_agent()
    wait_for(lambda: len(plugin_processes(stack)) == 8, seconds=60)


def upload(stack: Stack, author: Author, version: str, **source: Any) -> int:
    """Upload a package and return its id on the server."""
    package, data = author.package(version, **source)
    answer = stack._session.post(
        f"{stack.url}/api/v1/plugins/packages/",
        files={"file": ("demo.tar.gz", data)},
        data={"signature": package.signature},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def allow(stack: Stack, policy: str) -> None:
    """Write the host's policy, as its owner."""
    state = stack.directory / "agent-host1"
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "policy.yaml").write_text(policy)
    (state / "policy.yaml").chmod(0o600)


def test_package_is_installed_only_with_the_owners_key_and_rolled_back(
    own_stack: Stack, tmp_path: Path
) -> None:
    stack, author = own_stack, Author(tmp_path / "author")
    stranger = Author(tmp_path / "stranger")
    rules = f"plugins: {{allowed: ['*', demo], install: true, keys: ['{author.public}']}}\n"
    allow(stack, rules)
    agent = stack.start_agent()
    change(stack, agent, "demo", interval_seconds=1, package=upload(stack, stranger, "0.1"))
    assert "not signed" in wait_condition(stack, agent, "demo", "refused")["detail"]
    change(stack, agent, "demo", interval_seconds=1, package=upload(stack, author, "1.0"))
    assert wait_condition(stack, agent, "demo", "running")["version"] == "1.0"
    broken = upload(stack, author, "2.0", extra="raise SystemExit('broken build')")
    change(stack, agent, "demo", interval_seconds=1, package=broken)
    wait_for(lambda: "runs instead" in reported(stack, agent, "demo")["detail"], seconds=90)
    assert reported(stack, agent, "demo")["version"] == "1.0"
    change(stack, agent, "demo", interval_seconds=1, package=upload(stack, author, "2.1"))
    wait_for(lambda: reported(stack, agent, "demo")["version"] == "2.1", seconds=60)
    change(stack, agent, "demo", interval_seconds=1, package=upload(stack, author, "1.5"))
    assert "below 2.1" in wait_condition(stack, agent, "demo", "refused")["detail"]


def test_heartbeats_and_tasks_go_on_beside_a_flood(own_stack: Stack, tmp_path: Path) -> None:
    stack, author = own_stack, Author(tmp_path / "author")
    allow(stack, f"plugins: {{allowed: [demo], install: true, keys: ['{author.public}']}}\n")
    agent = stack.start_agent()
    flood = upload(stack, author, "1.0", extra="while True: os.write(1, b'x' * 60000 + b'\\n')")
    change(stack, agent, "demo", interval_seconds=1, package=flood)
    wait_condition(stack, agent, "demo", "failed")
    began = time.monotonic()
    assert stack.wait_final(stack.submit("echo fine"))["status"] == "completed"
    assert time.monotonic() - began < 20
    assert stack.online_agent("host1") == agent
