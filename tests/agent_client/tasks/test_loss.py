"""What a dead sub-agent left: its processes, its pipes, its record."""

from __future__ import annotations

import os
import subprocess

import pytest

from agent_client.protocol import frames
from agent_client.sub_agent import tree
from agent_client.sub_agent.launch import environment_marker
from agent_client.sub_agent.records import FileSystem
from agent_client.tasks import loss
from agent_client.tasks.identity import boot_id, identity_of, read_stat
from agent_client.tasks.taskdir import ExitRecord, TaskDirectory
from tests.agent_client.sub_agent.processes import until
from tests.agent_client.tasks.conftest import log_of, spec


@pytest.fixture
def directory(tmp_path, mark) -> TaskDirectory:
    """Return a task's directory with a name no other test has."""
    made = TaskDirectory(tmp_path / f"{mark}-1-1", file_system=FileSystem())
    made.store_spec(spec())
    return made


def kill_rounds(directory, script):
    """Kill until nothing is left."""
    until(loss.LostTree(directory, script).kill_round)


def test_script_is_found_by_its_identity(directory):
    process = subprocess.Popen(["sleep", "60"])
    kill_rounds(directory, identity_of(process.pid))
    assert process.wait() in (-9, 0)


def test_escaped_process_is_found_by_its_variable(directory):
    environment = {"DIALER_TASK_DIRECTORY": str(directory.path)}
    process = subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True)
    until(lambda: tree.marked(environment_marker(str(directory.path))))
    kill_rounds(directory, None)
    assert process.wait() in (-9, 0)


def test_killed_orphan_is_reaped_by_its_subreaper(directory):
    process = subprocess.Popen(["sleep", "60"])
    kill_rounds(directory, identity_of(process.pid))
    assert read_stat(process.pid) is None


def test_stranger_with_the_scripts_pid_is_spared(directory):
    process = subprocess.Popen(["sleep", "60"])
    stranger = identity_of(process.pid)._replace(start_time=1)
    assert loss.LostTree(directory, stranger).kill_round()
    assert process.poll() is None
    process.kill()
    process.wait()


def test_rest_of_the_pipes_is_kept_up_to_the_limit(directory):
    read_end, write_end = os.pipe()
    os.write(write_end, b"0123456789")
    os.close(write_end)
    limited = spec(log_limit_bytes=6)
    assert loss.save_output(directory, limited, {frames.STDERR: read_end}) == (6, 4)
    assert log_of(directory) == b"012345"


def test_record_tells_when_the_script_was_never_started(directory):
    record = loss.record_loss(directory, spec(), pipes={}, now=50.0)
    assert (record.reason, record.started_at) == ("supervisor_lost", None)
    assert "before the script was started" in record.detail


def test_record_tells_the_last_words_of_a_broken_sub_agent(directory):
    (directory.path / "crash").write_text("ZeroDivisionError: oh")
    assert "ZeroDivisionError" in loss.record_loss(directory, spec(), pipes={}).detail


def test_duration_counts_from_the_start(directory):
    run = f'{{"pid": 1, "start_time": 1, "boot_id": "{boot_id()}", "started_at": 20.0}}'
    (directory.path / "run.json").write_text(run)
    assert loss.record_loss(directory, spec(), pipes={}, now=50.0).duration_seconds == 30.0


def test_own_record_of_the_sub_agent_wins(directory):
    end = ExitRecord(reason="exit", exit_code=0, finished_at=1.0)
    directory.store_exit(end)
    assert loss.record_loss(directory, spec(), pipes={}) == end
