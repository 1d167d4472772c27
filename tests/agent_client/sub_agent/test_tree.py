"""Finding and killing process trees."""

from __future__ import annotations

import signal
import subprocess
import sys

from agent_client.sub_agent import tree
from agent_client.sub_agent.identity import identity_of, read_stat
from tests.agent_client.sub_agent.processes import until


def family():
    """Start a shell with a child and a grandchild."""
    process = subprocess.Popen(["sh", "-c", "sh -c 'sleep 60; true' & wait"])
    until(lambda: len(tree.descendants([process.pid])) == 2)
    return process


def test_descendants_are_found_at_any_depth():
    process = family()
    found = tree.descendants([process.pid], include_roots=True)
    tree.kill_all(found)
    process.wait()
    assert len(found) == 3


def test_nothing_is_left_when_all_are_killed():
    process = family()
    below = tree.descendants([process.pid])
    tree.kill_all(tree.descendants([process.pid], include_roots=True))
    process.wait()
    until(lambda: all((s := read_stat(p)) is None or s.state in "ZX" for p in below))


def test_signal_spares_a_process_that_only_has_the_same_pid():
    process = subprocess.Popen(["sleep", "60"])
    start = identity_of(process.pid).start_time
    assert not tree.send_signal(process.pid, start + 1, signal.SIGKILL)
    assert process.poll() is None
    assert tree.send_signal(process.pid, start, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_marked_processes_are_found_by_their_whole_variable(mark):
    environment = {"MARK": mark}
    process = subprocess.Popen(["sleep", "60"], env=environment)
    other = subprocess.Popen(["sleep", "60"], env={"MARK": f"{mark}0"})
    until(lambda: tree.marked(f"MARK={mark}".encode()))
    found = tree.marked(f"MARK={mark}".encode())
    for each in (process, other):
        each.kill()
        each.wait()
    assert list(found) == [process.pid]


def test_dead_child_is_seen_but_not_reaped():
    code = """
import subprocess
from agent_client.sub_agent import tree
from tests.agent_client.sub_agent.processes import until
assert tree.dead_child() is None
process = subprocess.Popen(["sh", "-c", "exit 7"])
until(lambda: tree.dead_child() == process.pid)
assert process.wait() == 7
assert tree.dead_child() is None
"""
    # In a process of its own, because this one may have children of other tests.
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_group_of_nobody_is_no_error():
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    assert tree.signal_group(process.pid, signal.SIGTERM) is None
