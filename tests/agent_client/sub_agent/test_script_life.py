"""The life of a script beside a real sub-agent: ends, output, environment."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess

import pytest

from agent_client.protocol.frames import MAX_PAYLOAD_BYTES, STDERR, STDOUT
from agent_client.sub_agent.identity import boot_id


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_exit_code_is_recorded_when_the_script_ends(start_task, code):
    end = start_task(f"exit {code}").end()
    assert (end["reason"], end["exit_code"], end["signal"]) == ("exit", code, None)


def test_signal_is_recorded_when_the_script_kills_itself(start_task):
    end = start_task("kill -SEGV $$").end()
    assert (end["reason"], end["exit_code"], end["signal"]) == ("exit", None, signal.SIGSEGV)


def test_streams_stay_apart_when_both_are_used(start_task):
    task = start_task("echo out; echo err >&2")
    end = task.end()
    assert task.log(STDOUT) == b"out\n"
    assert task.log(STDERR) == b"err\n"
    assert end["log_bytes"] == 8


def test_merged_output_keeps_its_exact_order(start_task):
    task = start_task(
        "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done", merge_output=True
    )
    task.end()
    assert task.log() == b"".join(b"o%d\ne%d\n" % (i, i) for i in range(1, 10))


def test_nothing_is_lost_when_a_script_reopens_its_stderr(start_task):
    task = start_task("echo one >&2; echo x > /dev/stderr; echo two >&2")
    task.end()
    assert task.log(STDERR) == b"one\nx\ntwo\n"


def test_bytes_are_kept_when_they_are_no_text(start_task):
    task = start_task(r"printf '\377\000\376\r\033[31m'")
    task.end()
    assert task.log() == b"\xff\x00\xfe\r\x1b[31m"


def test_large_output_arrives_byte_for_byte(start_task):
    size = 20 * 1024 * 1024
    task = start_task(f"head -c {size} /dev/urandom | tee >(sha256sum >&2)")
    end = task.end()
    assert end["log_bytes"] - len(task.log(STDERR)) == size
    assert task.log(STDERR).split()[0].decode() == hashlib.sha256(task.log(STDOUT)).hexdigest()
    assert max(len(frame.payload) for frame in task.frames()) <= MAX_PAYLOAD_BYTES


def test_output_is_cut_exactly_when_it_passes_the_limit(start_task):
    task = start_task("head -c 300000 /dev/zero; echo end", log_limit_bytes=100_001)
    end = task.end()
    assert (end["log_bytes"], end["log_truncated_bytes"]) == (100_001, 200_003)
    assert end["exit_code"] == 0
    assert len(task.log()) == 100_001


def test_identity_is_on_disk_when_the_script_begins(start_task):
    task = start_task('cat ../run.json; echo; echo "$$"')
    task.end()
    content, pid = task.log().decode().strip().rsplit("\n", 1)
    run = task.record("run.json")
    assert f'"pid": {pid}' in content
    assert (run["pid"], run["boot_id"]) == (int(pid), boot_id())


def test_environment_is_login_then_task_then_booking(start_task):
    task = start_task(
        "env",
        order={
            "environment": {"HOME": "/home/me", "KEEP": "login", "PATH": os.environ["PATH"]},
            "gpu_ids": ["GPU-a", "GPU-b"],
        },
        env={"KEEP": "task", "CUDA_VISIBLE_DEVICES": "7"},
        priority=2,
    )
    task.end()
    lines = set(task.log().decode().splitlines())
    assert {"HOME=/home/me", "KEEP=task", "CUDA_VISIBLE_DEVICES=GPU-a,GPU-b"} <= lines
    assert {"DIALER_TASK_ID=1", "DIALER_PRIORITY=2", "DIALER_OFFER=1"} <= lines
    assert {"DIALER_TASK_NAME=a test", "PYTHONUNBUFFERED=1"} <= lines


def test_gpus_are_hidden_when_none_is_booked(start_task):
    task = start_task('echo "[${CUDA_VISIBLE_DEVICES-unset}]"')
    task.end()
    assert task.log() == b"[]\n"


def test_agent_environment_is_not_passed_on(start_task, monkeypatch):
    monkeypatch.setenv("AGENT_SECRET", "dpa_secret")
    task = start_task("env")
    task.end()
    assert b"dpa_secret" not in task.log()


def test_only_standard_descriptors_are_open_and_stdin_is_empty(start_task):
    task = start_task("ls /proc/$$/fd; cat | wc -c")
    task.end()
    # 255 is bash's own copy of the script it reads.
    assert task.log().split() == [b"0", b"1", b"2", b"255", b"0"]


LIBRARY_SIGNALS = 0b11 << 31
"""Signals 32 and 33 belong to the C library, which lets no program set them."""


def test_signals_umask_and_session_are_those_of_a_login(start_task):
    task = start_task("grep SigIgn /proc/self/status; umask; ps -o sid= -p $$; echo $$")
    task.end()
    _, ignored, umask, session, pid = task.log().split()
    assert int(ignored, 16) & ~LIBRARY_SIGNALS == 0
    assert umask == b"0022"
    assert session == pid


def test_script_is_pinned_to_the_booked_cores(start_task):
    core = max(os.sched_getaffinity(0))
    task = start_task("grep Cpus_allowed_list /proc/self/status", order={"cpu_ids": [core]})
    task.end()
    assert task.log().split()[1] == str(core).encode()


def test_working_directory_is_the_tasks_own_when_none_is_asked(start_task):
    task = start_task("pwd")
    task.end()
    assert task.log().decode().strip() == str(task.path / "work")


def test_working_directory_is_the_one_asked_for(start_task, tmp_path):
    task = start_task("pwd", working_dir=str(tmp_path))
    task.end()
    assert task.log().decode().strip() == str(tmp_path)


def test_script_is_run_as_it_was_given(start_task):
    script = '#!/bin/sh\n# umlaut: ä\ncat "$0"'
    task = start_task(script)
    task.end()
    assert task.log().decode() == script


def test_python_script_runs_with_the_hosts_python(start_task):
    task = start_task(
        "import sys; print('hello'); sys.exit(4)",
        script_type="python",
        order={"environment": {"PATH": os.environ["PATH"]}},
    )
    assert task.end()["exit_code"] == 4
    assert task.log() == b"hello\n"


def test_python_script_finds_the_modules_beside_it(start_task):
    task = start_task(
        "import sys; print(sys.flags.safe_path, sys.path[0] == __file__.rpartition('/')[0])",
        script_type="python",
        order={"environment": {"PATH": os.environ["PATH"]}},
    )
    assert task.end()["exit_code"] == 0
    assert task.log() == b"False True\n"


@pytest.mark.parametrize(
    ("script", "spec", "remedy"),
    [
        ("x", {"script_type": "python", "env": {"PATH": "/nowhere"}}, "python3 is not on"),
        ("x", {"script_type": "powershell", "env": {"PATH": "/nowhere"}}, "pwsh or powershell"),
        ("true", {"working_dir": "/nowhere/at/all"}, "does not exist on this host"),
        ("true", {"working_dir": "relative"}, "not absolute"),
        ("#!/no/such/shell\n", {}, "'/no/such/shell': no such program"),
        ("#!/bin/sh\r\ntrue\r\n", {}, r"'/bin/sh\r'"),
        ("true", {"env": {"A": "b\0c"}}, "null"),
    ],
)
def test_start_fails_with_a_remedy(start_task, script, spec, remedy):
    end = start_task(script, **spec).end()
    assert end["reason"] == "start_failed"
    assert remedy in end["detail"]
    assert end["exit_code"] is None


def test_last_words_are_kept_when_a_sub_agent_breaks(start_task):
    task = start_task("echo x; sleep 1", log_limit_bytes="not a number")
    assert task.process.wait(20) == 1
    assert (task.path / "crash").read_text().startswith("TypeError")
    assert not (task.path / "exit.json").exists()


def test_second_sub_agent_stops_at_once_when_the_task_is_claimed(start_task):
    task = start_task("echo once; sleep 0.3")
    task.until_output(b"once")
    second = subprocess.run([*task.process.args], timeout=10, check=False)
    task.end()
    assert second.returncode == 0
    assert task.log() == b"once\n"


def test_nothing_is_run_when_an_adopter_abandoned_the_task(start_task, tmp_path):
    path = tmp_path / "here-9-1"
    path.mkdir()
    (path / "spec.json").write_text('{"task_id": 9, "offer": 1, "script_content": "echo no"}')
    (path / "claim").write_text('{"abandoned": true}')
    args = start_task("true").process.args
    subprocess.run([*args[:-1], str(path)], timeout=10, check=True)
    assert sorted(file.name for file in path.iterdir()) == ["claim", "spec.json"]
