"""The end of whole process trees: cancel, timeout, and what a script leaves behind."""

from __future__ import annotations

import json
import signal
import socket
import time

import pytest

from agent_client.sub_agent.sub_agent import LINGER_SECONDS
from tests.agent_client.sub_agent.processes import living_with, until

STUBBORN = """
trap '' TERM
setsid sh -c 'trap "" TERM; (sleep 611 & sleep 612 &) ; sleep 613' &
(trap '' TERM; (env -i sleep 614.{mark} &) )
env -i setsid sleep 615.{mark} &
echo ready
while :; do sleep 1; done
"""


def request_stop(task, *, reason="user_cancel", grace_seconds=0.2):
    """Send what the main agent sends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(str(task.path / "ctl"))
        channel.send(json.dumps({"stop": reason, "grace_seconds": grace_seconds}).encode())


def digits(mark):
    """Return a number that `sleep` takes and that names this test."""
    return str(int(mark, 16))[:15]


def test_no_process_survives_when_a_script_resists(start_task, mark):
    number = digits(mark)
    task = start_task(STUBBORN.format(mark=number))
    task.until_output(b"ready")
    until(lambda: len(living_with(number)) >= 2)
    began = time.monotonic()
    request_stop(task, grace_seconds=0.3)
    end = task.end()
    assert living_with(mark) == living_with(number) == []
    assert 0.3 <= time.monotonic() - began < 2.3
    assert (end["reason"], end["signal"]) == ("user_cancel", signal.SIGKILL)


def test_script_may_clean_up_when_it_is_asked_to_stop(start_task):
    task = start_task("trap 'echo saved; exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    task.until_output(b"ready")
    request_stop(task, grace_seconds=20)
    end = task.end()
    assert (end["reason"], end["exit_code"]) == ("user_cancel", 9)
    assert task.log().endswith(b"saved\n")


def test_intent_is_on_disk_when_the_script_hears_of_it(start_task):
    task = start_task(
        "trap 'cat ../stop.json; exit' TERM; echo ready; while :; do sleep 0.05; done"
    )
    task.until_output(b"ready")
    request_stop(task, grace_seconds=20)
    task.end()
    assert b'"reason": "user_cancel"' in task.log()


def test_shorter_grace_counts_when_a_stop_is_repeated(start_task):
    task = start_task("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    task.until_output(b"ready")
    request_stop(task, grace_seconds=60)
    request_stop(task, reason="agent_lost", grace_seconds=0)
    assert task.end()["reason"] == "user_cancel"


def test_stopped_script_ends_when_it_is_suspended(start_task):
    task = start_task("echo ready; kill -STOP $$; echo no")
    task.until_output(b"ready")
    request_stop(task, grace_seconds=20)
    assert task.end()["signal"] == signal.SIGTERM


def test_script_is_ended_when_its_time_is_over(start_task, mark):
    end = start_task("sleep 100", timeout_seconds=0.2, grace_seconds=0.2).end()
    assert end["reason"] == "timeout"
    assert 0.2 <= end["duration_seconds"] < 2
    assert living_with(mark) == []


def test_own_end_is_recorded_when_the_time_was_not_over(start_task):
    assert start_task("exit 5", timeout_seconds=60).end()["reason"] == "exit"


def test_task_ends_when_a_background_child_keeps_the_output_open(start_task, mark):
    began = time.monotonic()
    task = start_task("(while :; do sleep 0.1; done) & setsid sleep 500 & echo done; exit 6")
    end = task.end()
    assert (end["reason"], end["exit_code"]) == ("exit", 6)
    assert task.log() == b"done\n"
    assert living_with(mark) == []
    assert time.monotonic() - began < LINGER_SECONDS + 2


def test_background_child_may_finish_its_last_words(start_task):
    task = start_task("(sleep 0.1; echo last) & echo first")
    task.end()
    assert task.log() == b"first\nlast\n"


def test_garbage_on_the_control_channel_is_ignored(start_task):
    task = start_task("echo ready; read -t 0.3 < <(sleep 1); exit 0")
    task.until_output(b"ready")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(str(task.path / "ctl"))
        for garbage in (b"", b"{", b"[]", b'{"stop": 1}', b'{"stop": "x", "grace_seconds": "y"}'):
            channel.send(garbage)
    assert task.end()["reason"] == "exit"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_sub_agent_stays_when_the_host_signals_everybody(start_task, number):
    task = start_task("echo ready; sleep 0.3; exit 8")
    task.until_output(b"ready")
    task.process.send_signal(number)
    assert task.end()["exit_code"] == 8
