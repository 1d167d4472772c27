"""A process is known by pid, start time and boot."""

from __future__ import annotations

import os
import subprocess

from agent_client.sub_agent.identity import boot_id, identity_of, read_stat


def test_own_process_is_alive():
    assert identity_of(os.getpid()).is_alive()


def test_other_start_time_is_another_process():
    identity = identity_of(os.getpid())
    assert not identity._replace(start_time=identity.start_time + 1).is_alive()


def test_other_boot_is_another_process():
    assert not identity_of(os.getpid())._replace(boot_id="before").is_alive()


def test_zombie_is_not_alive():
    process = subprocess.Popen(["true"])
    identity = identity_of(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.is_alive()
    process.wait()
    assert read_stat(process.pid) is None


def test_name_with_brackets_does_not_confuse_the_stat(tmp_path):
    program = tmp_path / "a) R (b"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "5"])
    stat = read_stat(process.pid)
    process.kill()
    process.wait()
    assert stat.parent == os.getpid()


def test_boot_id_is_that_of_the_kernel():
    with open("/proc/sys/kernel/random/boot_id") as file:
        assert boot_id() == file.read().strip()
