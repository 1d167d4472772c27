"""The guard by itself: whoever dies, and however, no process of the plug-in is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from agent_client.plugins import guard
from tests.agent_client.plugins.processes import processes_with

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        for n in (0, 1, 2): os.close(n)
        time.sleep(300)
print("up", flush=True)
time.sleep(300)
"""
FORKING = """
import os, time
print("up", flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    if os.fork() == 0:
        os.setsid()
        time.sleep(0.05)
    else:
        time.sleep(0.02)
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pass
"""


class Guarded:
    """A guard with a plug-in that is one piece of Python."""

    def __init__(self, directory: Path, source: str) -> None:
        self.directory = directory
        script = directory / "plugin.py"
        script.write_text(source)
        control, self.control = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(control), sys.executable, str(script)],
            pass_fds=(control,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            start_new_session=True,
        )
        os.close(control)

    def wait_up(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"up\n"

    def let_go(self) -> None:
        """End the control pipe, as the kernel does for an agent that died."""
        if self.control >= 0:
            os.close(self.control)
            self.control = -1

    def left(self) -> list[psutil.Process]:
        return processes_with(self.directory)

    def wait_none_left(self, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while left := self.left():
            assert time.monotonic() < deadline, left
            time.sleep(0.02)

    def close(self) -> None:
        self.let_go()
        for one in self.left():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Callable[[str], Guarded]]:
    started: list[Guarded] = []

    def start(source: str) -> Guarded:
        started.append(Guarded(tmp_path, source))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.parametrize("source", [STUBBORN, FORKING])
def test_nothing_is_left_when_the_agent_is_gone(guarded, source):
    one = guarded(source)
    one.wait_up()
    assert len(one.left()) >= 2
    one.let_go()
    one.process.wait(15)
    assert one.left() == []


def test_nothing_is_left_when_the_guard_is_told_to_end(guarded):
    one = guarded(STUBBORN)
    one.wait_up()
    one.process.send_signal(signal.SIGTERM)
    one.process.wait(15)
    assert one.left() == []


def test_plugin_dies_with_its_guard(guarded):
    one = guarded("import time; print('up', flush=True); time.sleep(300)")
    one.wait_up()
    assert len(one.left()) == 2
    one.process.kill()
    one.wait_none_left()


def test_descendants_end_with_the_plugin(guarded):
    one = guarded(
        "import os, time\nif os.fork() == 0: os.setsid(); time.sleep(300)\nprint('up', flush=True)"
    )
    one.wait_up()
    assert one.process.wait(15) == 0
    assert one.left() == []


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("raise SystemExit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + 9),
    ],
)
def test_status_of_the_plugin_is_that_of_the_guard(guarded, source, status):
    assert guarded(source).process.wait(15) == status


def test_polite_plugin_ends_by_term_within_its_grace(guarded):
    one = guarded(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('up', flush=True)\ntime.sleep(300)"
    )
    one.wait_up()
    began = time.monotonic()
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(15) == 5
    assert time.monotonic() - began < guard.GRACE_SECONDS


def test_program_that_cannot_be_started_is_named(tmp_path):
    control, other = os.pipe()
    done = subprocess.run(
        [sys.executable, "-I", "-S", guard.__file__, str(control), str(tmp_path / "none")],
        pass_fds=(control,),
        capture_output=True,
        timeout=15,
    )
    os.close(control)
    os.close(other)
    assert done.returncode == 127
    assert b"none: No such file" in done.stderr


def test_guard_holds_none_of_the_streams(guarded):
    one = guarded("import os, time; os.close(1); time.sleep(300)")
    assert one.process.stdout is not None
    assert one.process.stdout.read() == b""  # ends although guard and plug-in live
    assert one.process.poll() is None


def test_guard_is_small(guarded):
    one = guarded("import time; print('up', flush=True); time.sleep(300)")
    one.wait_up()
    assert psutil.Process(one.process.pid).memory_info().rss < 24 * 1024 * 1024
