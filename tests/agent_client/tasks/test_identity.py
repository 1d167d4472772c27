"""A pidfd is opened for the right process or not at all."""

from __future__ import annotations

import os
import select
import subprocess

from agent_client.tasks.identity import identity_of, open_pidfd


def test_pidfd_tells_the_end_of_its_process():
    process = subprocess.Popen(["sleep", "60"])
    pidfd = open_pidfd(identity_of(process.pid))
    process.kill()
    assert select.select([pidfd], [], [], 10)[0] == [pidfd]
    os.close(pidfd)
    process.wait()


def test_no_pidfd_when_the_pid_belongs_to_another_process():
    identity = identity_of(os.getpid())
    assert open_pidfd(identity._replace(start_time=1)) is None


def test_no_pidfd_when_the_process_is_gone():
    process = subprocess.Popen(["true"])
    identity = identity_of(process.pid)
    process.wait()
    assert open_pidfd(identity) is None
