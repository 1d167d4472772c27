"""Dead children that nobody waits for are collected, and only those."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from agent_client.tasks.strays import Strays


def dead_child() -> subprocess.Popen[bytes]:
    """Return a child that has ended and was not waited for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return child


def test_dead_child_is_collected_after_its_grace():
    strays, child = Strays(grace_seconds=10), dead_child()
    assert child.pid not in strays.collect(now=100)
    assert child.pid not in strays.collect(now=109)
    assert child.pid in strays.collect(now=110)
    assert child.pid not in strays.collect(now=200)
    child.wait()


def test_child_that_its_owner_collects_is_left_to_it():
    strays = Strays(grace_seconds=10)
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    strays.collect(now=100)
    assert child.wait() == 7
    assert child.pid not in strays.collect(now=200)


def test_living_child_is_left_alone():
    strays = Strays(grace_seconds=0)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert child.pid not in strays.collect(now=100)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_orphan_of_a_dead_parent_is_collected():
    """The way it happens: what a killed sub-agent leaves ends by itself, under us."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from agent_client.sub_agent import tree; from agent_client.tasks.strays import Strays;"
        "import os, subprocess, time; tree.become_subreaper();"
        "parent = subprocess.Popen(['sh', '-c', 'sleep 0.2 & kill -9 $$']); parent.wait();"
        "strays = Strays(grace_seconds=0.1); found = []; end = time.monotonic() + 20\n"
        "while not found and time.monotonic() < end:\n"
        "    time.sleep(0.05); found = strays.collect(now=time.monotonic())\n"
        "print(len(found), tree.dead_child())"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", program, root], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "None"]
