"""A script submitted by the API runs on a real agent and its log comes back."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import Stack, wait_for
from tests.e2e.system_calls import calls_in, has_synced, traced

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("life")]


def test_script_completes_with_its_log(stack: Stack) -> None:
    task = stack.wait_final(stack.submit("echo hello; echo oops >&2"))
    assert (task["status"], task["exit_code"], task["reason"]) == ("completed", 0, "exit")
    assert sorted(stack.log(task["id"]).splitlines()) == [b"hello", b"oops"]
    assert (task["stdout"], task["stderr"]) == ("hello\n", "oops\n")


def test_exit_code_3_is_failed_with_its_code(stack: Stack) -> None:
    task = stack.wait_final(stack.submit("exit 3"))
    assert (task["status"], task["exit_code"], task["reason"]) == ("failed", 3, "exit")


def test_script_killed_by_a_signal_has_no_exit_code(stack: Stack) -> None:
    task = stack.wait_final(stack.submit("kill -SEGV $$"))
    assert (task["status"], task["exit_code"], task["signal"]) == ("failed", None, 11)


def test_python_script_runs_in_python(stack: Stack) -> None:
    task = stack.wait_final(stack.submit("print(6 * 7)", script_type="python"))
    assert stack.log(task["id"]) == b"42\n"


def test_missing_interpreter_says_so(stack: Stack) -> None:
    task = stack.task(stack.submit("Get-Date", script_type="powershell"))
    assert task["status"] in {"waiting", "failed"}
    assert "powershell" in (task["waiting_reason"] or task["reason_detail"]).lower()


def test_missing_working_directory_fails_clearly(stack: Stack) -> None:
    task = stack.wait_final(stack.submit("pwd", working_dir="/nonexistent/here"))
    assert (task["status"], task["reason"]) == ("failed", "start_failed")


def test_environment_of_the_task_reaches_the_script(stack: Stack) -> None:
    script = 'echo "$GREETING:$DIALER_TASK_ID:${CUDA_VISIBLE_DEVICES-unset}"'
    task = stack.wait_final(stack.submit(script, env={"GREETING": "hi"}))
    assert stack.log(task["id"]).decode() == f"hi:{task['id']}:\n"


def test_script_sees_no_credential(stack: Stack) -> None:
    task = stack.wait_final(stack.submit("env; ls -l /proc/self/fd"))
    assert b"dpa_" not in stack.log(task["id"])
    assert b"dpe_" not in stack.log(task["id"])


def test_writing_to_dev_stderr_destroys_nothing(stack: Stack) -> None:
    script = "echo first >&2; echo x > /dev/stderr; echo last >&2"
    task = stack.wait_final(stack.submit(script))
    assert stack.log(task["id"], stream="stderr") == b"first\nx\nlast\n"


def test_bytes_that_are_not_utf8_arrive_unchanged(stack: Stack) -> None:
    task = stack.wait_final(stack.submit(r"printf '\377\376\000\033[31mred<b>\n'"))
    assert stack.log(task["id"]) == b"\xff\xfe\x00\x1b[31mred<b>\n"


def test_timeout_ends_the_script(stack: Stack) -> None:
    task = stack.wait_final(stack.submit("sleep 60", timeout=1))
    assert (task["status"], task["reason"]) == ("failed", "timeout")


def test_dependency_starts_after_its_predecessor(stack: Stack) -> None:
    first = stack.submit("sleep 0.5")
    second = stack.submit("true", depends_on=[first])
    assert stack.task(second)["status"] == "blocked"
    done = stack.wait_final(second)
    assert done["status"] == "completed"
    assert done["start_time"] >= stack.task(first)["end_time"]


def test_failed_dependency_cancels_what_waits_for_it(stack: Stack) -> None:
    first = stack.submit("sleep 0.2; exit 1")
    second = stack.wait_final(stack.submit("true", depends_on=[first]))
    assert (second["status"], second["reason"]) == ("canceled", "dependency_failed")


def test_rerun_makes_a_new_task(stack: Stack) -> None:
    first = stack.submit("echo again")
    stack.wait_final(first)
    answer = stack.post(f"/api/v1/tasks/{first}/rerun/")
    assert answer.status_code == 201
    again = stack.wait_final(answer.json()["id"])
    assert (again["rerun_of"], stack.log(again["id"])) == (first, b"again\n")


def test_large_log_arrives_byte_for_byte(stack: Stack) -> None:
    size = 5_000_000
    script = f"head -c {size} /dev/urandom | tee >(sha256sum >&2) ; wait"
    task = stack.wait_final(stack.submit(script), seconds=60)
    body = stack.log(task["id"], stream="stdout")
    expected = stack.log(task["id"], stream="stderr").split()[0].decode()
    assert len(body) == size
    assert hashlib.sha256(body).hexdigest() == expected


def test_sub_agent_is_shown_beneath_its_main_agent_while_it_runs(stack: Stack) -> None:
    task = stack.submit("sleep 3")
    stack.wait_status(task, "running")

    def listed() -> bool:
        (main,) = stack.get("/api/v1/agents/").json()["results"]
        return any(sub["task_id"] == task for sub in main["sub_agents"])

    wait_for(listed, seconds=5)
    stack.post(f"/api/v1/tasks/{task}/cancel/")
    stack.wait_final(task)


def test_server_syncs_before_it_says_so(stack: Stack, tmp_path: Path) -> None:
    """A 201 follows the commit, an acknowledged log offset the bytes (R8)."""
    assert stack.server is not None
    [server] = [
        child
        for child in psutil.Process(stack.server.pid).children(recursive=True)
        if any(one.laddr.port == stack.port for one in child.net_connections("tcp"))
    ] or [psutil.Process(stack.server.pid)]
    file = tmp_path / "calls"
    with traced(server.pid, file):
        task = stack.submit("echo synced")
        offset = re.compile(
            rf'\\"log_next\\":\[{{\\"task_id\\":{task},\\"offer\\":\d+,\\"next\\":[1-9]'
        )
        found = wait_for(lambda: offset.search(file.read_text("utf-8", "replace")))
    calls = calls_in(file)
    assert has_synced(calls, ".sqlite3-wal", since="POST /api/v1/tasks/", until="HTTP/1.1 201")
    for file_name in (f"{task}.log", f"{task}.idx"):
        assert has_synced(calls, f"/{file_name}>", until=found.group())
