"""Plans are checked before anything is forked; a waiting script dies with its sub-agent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_client.sub_agent import launch

SPEC = {"task_id": 4, "offer": 2, "script_content": "true"}


def test_plan_names_program_script_and_directory(tmp_path):
    plan = launch.make_plan(str(tmp_path), SPEC, {"cpu_ids": [1, 2]})
    assert plan.argv == ("/bin/bash", str(tmp_path / "script"))
    assert plan.working_dir == str(tmp_path / "work")
    assert plan.cpu_ids == (1, 2)


def test_script_is_its_owners_only(tmp_path):
    launch.make_plan(str(tmp_path), SPEC, {})
    assert (tmp_path / "script").stat().st_mode & 0o777 == 0o700


def test_powershell_is_found_by_either_name(tmp_path):
    program = tmp_path / "powershell"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    spec = SPEC | {"script_type": "powershell", "env": {"PATH": f"/nowhere:{tmp_path}"}}
    assert launch.make_plan(str(tmp_path), spec, {}).argv[0] == str(program)


def test_home_is_understood_in_the_working_directory(tmp_path):
    order = {"environment": {"HOME": str(tmp_path)}}
    plan = launch.make_plan(str(tmp_path), SPEC | {"working_dir": "~/"}, order)
    assert Path(plan.working_dir) == tmp_path


def test_booking_wins_over_the_tasks_own_variables():
    spec = SPEC | {"env": {"DIALER_TASK_ID": "1", "PYTHONUNBUFFERED": "0"}}
    environment = launch.script_environment("/state/here-4-2", spec, {})
    assert environment["DIALER_TASK_ID"] == "4"
    assert environment["DIALER_TASK_DIRECTORY"] == "/state/here-4-2"
    assert environment["PYTHONUNBUFFERED"] == "0"


def test_transfer_gets_nothing_that_the_task_says_about_its_process(tmp_path):
    spec = SPEC | {
        "kind": "file_upload",
        "transfer": {"id": "a"},
        "env": {"LD_PRELOAD": "/srv/code.so", "PATH": "/srv", "HOME": "/srv"},
        "working_dir": "/srv/not-there",
    }
    files = {"interpreter": sys.executable, "package": "/agent"}
    login = {"HOME": "/home/a", "LD_LIBRARY_PATH": "/lib", "SSL_CERT_FILE": "/etc/ca.pem"}
    plan = launch.make_plan(str(tmp_path), spec, {"files": files, "environment": login})
    for descriptor in plan.inherited:
        os.close(descriptor)
    assert plan.working_dir == str(tmp_path / "work")
    own = {name: text for name, text in plan.environment.items() if not name.startswith("DIALER_")}
    assert own == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/home/a",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "CUDA_VISIBLE_DEVICES": "",
    }
    assert plan.environment["DIALER_TASK_DIRECTORY"] == str(tmp_path)


@pytest.mark.parametrize("missing", ["task_id", "offer"])
def test_spec_without_identity_is_refused(missing):
    spec = {name: value for name, value in SPEC.items() if name != missing}
    with pytest.raises(KeyError):
        launch.script_environment("x", spec, {})


def test_waiting_script_never_runs_when_its_sub_agent_dies(tmp_path):
    proof = tmp_path / "ran"
    code = f"""
import os, sys
from agent_client.sub_agent import launch
plan = launch.Plan(("/bin/touch", "{proof}"), {{}}, "/", ())
script = launch.fork_script(plan, launch.Pipes(1, 2))
print(script.pid, flush=True)
os._exit(0)
"""
    # The script holds our pipe as its stdout: the answer ends when it has ended.
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(answer.stdout) > 0
    assert not proof.exists()
