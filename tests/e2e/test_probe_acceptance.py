"""The acceptance list of dial testing, with the real agent, the real server and real targets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.stack import Stack, running_stack, wait_for
from tests.e2e.test_probes import edited, made, results, until

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("probe acceptance")]
THREADS = "2"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server and an agent with two threads that writes its log in Chinese."""
    with running_stack(tmp_path_factory.mktemp("probes")) as found:
        found.start_agent(
            AGENT_THREAD_POOL_MAX_WORKERS=THREADS,
            AGENT_THREAD_POOL_QUEUE_SIZE_LIMIT="4",
            AGENT_LANGUAGE="zh",
            AGENT_LOGGING_LOG_DIR=str(found.directory / "logs"),
            AGENT_LOGGING_LOG_MODE="DEBUG",
        )
        yield found


@pytest.fixture
def hanging() -> Iterator[str]:
    """A target that accepts and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)


def log_of(stack: Stack) -> str:
    """Return everything in the agent's own log file."""
    files = sorted((stack.directory / "logs").glob("agent*.log"))
    return "".join(file.read_text("utf-8", "replace") for file in files)


def script(stack: Stack, text: str, **fields: Any) -> int:
    """Make a probe of a kind that blocks a thread."""
    return made(stack, kind="script", target="x", config={"script": text}, **fields)


def agent_of(stack: Stack) -> dict[str, Any]:
    return dict(stack.get("/api/v1/agents/").json()["results"][0])


def test_added_changed_and_removed_probes_are_told_in_the_log_word_for_word(stack: Stack) -> None:
    probe_id = made(stack, interval=60)
    wait_for(
        lambda: f"[INFO] 新增任务 task_id={probe_id}, interval=60s, tenant=default" in log_of(stack)
    )
    assert edited(stack, probe_id, "PATCH", {"interval": 120}).status_code == 200
    wait_for(lambda: f"[INFO] 修改任务 task_id={probe_id}, 新间隔=120s" in log_of(stack))
    edited(stack, probe_id, "DELETE")
    wait_for(lambda: f"[INFO] 删除任务 task_id={probe_id}" in log_of(stack))
    wait_for(lambda: "[DEBUG] 当前线程池 active=" in log_of(stack), seconds=70)


def test_failing_probe_is_told_in_the_log_word_for_word(stack: Stack) -> None:
    probe_id = made(stack, kind="tcp", target="127.0.0.1:1")
    wait_for(lambda: f"[ERROR] 任务执行失败 task_id={probe_id}, error=" in log_of(stack))
    found = until(stack, probe_id, bool)
    assert (found[0]["outcome"], found[0]["reason"]) == ("down", "refused")
    edited(stack, probe_id, "DELETE")


def test_shorter_interval_brings_results_sooner(stack: Stack) -> None:
    probe_id = made(stack, interval=3600)
    edited(stack, probe_id, "PATCH", {"interval": 1})
    found = until(stack, probe_id, lambda found: len(found) >= 3)
    assert all(one["outcome"] == "up" for one in found)
    edited(stack, probe_id, "DELETE")


def test_target_changed_while_it_runs_counts_from_the_next_run(
    stack: Stack, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    slow = f"echo $PROBE_TARGET >> {started}; sleep 2"
    probe_id = script(stack, slow, interval=3, timeout=10)
    wait_for(started.exists)
    answer = edited(stack, probe_id, "PATCH", {"target": "other"})
    found = until(stack, probe_id, lambda found: len(found) >= 2)
    versions = [one["version"] for one in found]
    assert versions[0] < answer.json()["version"] == versions[-1]
    assert started.read_text().split()[:2] == ["x", "other"]
    edited(stack, probe_id, "DELETE")


def test_removed_probe_never_runs_again_queued_or_running(stack: Stack, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ids = [
        script(stack, f"echo {n} >> {ledger}; sleep 8", interval=2, timeout=10) for n in range(4)
    ]
    # Two threads and four probes: two run, two wait, for longer than from beat to beat.
    wait_for(lambda: agent_of(stack)["thread_pool"]["pending_tasks"] >= 1, seconds=60)
    wait_for(ledger.exists)
    for probe_id in ids:
        edited(stack, probe_id, "DELETE")
    for probe_id in ids:
        wait_for(lambda one=probe_id: f"删除任务 task_id={one}" in log_of(stack))
    wait_for(lambda: agent_of(stack)["thread_pool"]["active_threads"] == 0, seconds=60)
    lines = ledger.read_text()
    # Another probe shows that more than an interval of theirs has passed.
    control = made(stack)
    until(stack, control, lambda found: len(found) >= 4)
    edited(stack, control, "DELETE")
    assert ledger.read_text() == lines


def test_hanging_target_times_out_and_holds_up_nobody(stack: Stack, hanging: str) -> None:
    stuck = made(stack, target=hanging, timeout=1, interval=2)
    healthy = made(stack)
    found = until(stack, stuck, lambda found: len(found) >= 2)
    assert {(one["outcome"], one["reason"]) for one in found} == {("down", "timeout")}
    good = until(stack, healthy, lambda found: len(found) >= 3)
    assert {one["outcome"] for one in good} == {"up"}
    for probe_id in (stuck, healthy):
        edited(stack, probe_id, "DELETE")


def test_script_that_hangs_is_killed_and_frees_its_thread(stack: Stack, tmp_path: Path) -> None:
    stuck = script(stack, "trap '' TERM; sleep 600", timeout=1, interval=2)
    found = until(stack, stuck, lambda found: len(found) >= 2)
    assert {one["reason"] for one in found if one["outcome"] == "down"} == {"timeout"}
    edited(stack, stuck, "DELETE")
    wait_for(lambda: agent_of(stack)["thread_pool"]["active_threads"] == 0, seconds=60)


def test_more_than_the_threads_carry_is_reported_and_counted(stack: Stack) -> None:
    ids = [script(stack, "sleep 3", interval=3, timeout=10) for _ in range(6)]
    wait_for(lambda: f"任务数超过最大线程数 {THREADS}" in log_of(stack), seconds=60)

    def missed() -> list[dict[str, Any]]:
        return [one for n in ids for one in results(stack, n) if one["outcome"] == "missed"]

    found = wait_for(missed, seconds=60)
    assert {one["reason"] for one in found} <= {"overrun", "late", "queue_full"}
    for probe_id in ids:
        edited(stack, probe_id, "DELETE")


def test_two_tenants_see_nothing_of_each_other(stack: Stack) -> None:
    probe_id = made(stack)
    until(stack, probe_id, bool)
    stack.manage("tenant", "beta")
    stack.manage("user", "bob", "--tenant", "beta", "--role", "admin", "--password", "a long one 1")
    token = stack.manage("token", "bob").splitlines()[-1]
    other = requests.Session()
    other.headers["Authorization"] = f"Bearer {token}"
    url = f"{stack.url}/api/v1/probes/"
    assert other.get(url, timeout=10).json()["count"] == 0
    for path in ("", "results/", "summary/"):
        assert other.get(f"{url}{probe_id}/{path}", timeout=10).status_code == 404
    assert other.delete(f"{url}{probe_id}/", timeout=10).status_code == 404
    edited(stack, probe_id, "DELETE")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"interval": 0}, "interval"),
        ({"kind": "tcp", "target": "127.0.0.1:99999"}, "target"),
        ({"kind": "nonsense"}, "kind"),
        ({"config": {"body_regex": "(a+)+("}}, "config"),
        ({"target": ""}, "target"),
    ],
)
def test_impossible_probe_is_refused_with_its_field(
    stack: Stack, fields: dict[str, Any], named: str
) -> None:
    body = {"name": "p", "kind": "http", "target": stack.url, "interval": 60, **fields}
    answer = stack.post("/api/v1/probes/", body)
    assert answer.status_code == 400
    assert [name for name in answer.json()["fields"] if name.split(".")[0] == named]


def test_pattern_that_would_hang_others_is_only_a_pattern(stack: Stack) -> None:
    probe_id = made(stack, config={"body_regex": "^(a+)+$"})
    found = until(stack, probe_id, lambda found: len(found) >= 2)
    assert {(one["outcome"], one["reason"]) for one in found} == {("down", "assertion")}
    edited(stack, probe_id, "DELETE")


def test_result_for_a_probe_of_nobody_is_refused_and_the_rest_is_kept(stack: Stack) -> None:
    probe_id = made(stack)
    until(stack, probe_id, bool)
    identity = json.loads((stack.directory / "agent-host1" / "identity.json").read_text())
    body = [
        {"task_id": number, "tenant_id": "default", "seq": seq, "stream": "t", "success": True}
        for seq, number in ((1, 999_999), (2, probe_id))
    ]
    answer = requests.post(
        f"{stack.url}/api/v1/results",
        json=body,
        headers={"Authorization": f"Bearer {identity['agent_token']}"},
        timeout=10,
    )
    assert answer.status_code == 200
    assert sorted(answer.json()["acked"]) == [1, 2]
    assert [one["seq"] for one in answer.json()["rejected"]] == [1], answer.text
    edited(stack, probe_id, "DELETE")


def test_metadata_address_is_denied_as_our_own_error(stack: Stack) -> None:
    probe_id = made(stack, target="http://169.254.169.254/latest/meta-data/")
    found = until(stack, probe_id, bool)
    assert (found[0]["outcome"], found[0]["reason"]) == ("error", "denied")
    edited(stack, probe_id, "DELETE")


def test_host_without_a_beat_shows_as_offline_and_its_probes_as_unknown(own_stack: Stack) -> None:
    stack = own_stack
    stack.start_agent()
    probe_id = made(stack)
    until(stack, probe_id, bool)
    stack.kill_agent()
    wait_for(lambda: agent_of(stack)["status"] == "offline", seconds=40)
    path = f"/api/v1/probes/{probe_id}/"
    wait_for(lambda: stack.get(path).json()["state"] == "unknown", seconds=40)
