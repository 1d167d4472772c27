"""The process between the agent and one plug-in: it outlives neither, and leaves nothing.

    python -I -S guard.py <control pipe> <plug-in's program> <arguments...>

As a child subreaper it keeps every descendant of the plug-in in reach, also what detached
itself. When the agent asks (TERM), or is gone (the control pipe ends, however it died), the
plug-in's group gets TERM and, after a grace, all descendants are killed. It touches none of
the plug-in's streams. The plug-in itself is killed by the kernel if this process is.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from typing import NoReturn

if __name__ == "__main__":
    # Without pathlib, which would be half of this process's memory.
    sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))  # noqa: PTH100

from agent_client.sub_agent import tree

GRACE_SECONDS = 2.0
SWEEP_SECONDS = 10.0
"""What cannot be killed by then (it became another user's) is left to init."""
LOOK_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1
_EXIT_NOT_STARTED = 127
_SIGNALED = 128


def main(arguments: list[str]) -> NoReturn:
    """Start the plug-in, wait for its end or for ours, and leave no process behind."""
    control = int(arguments[0])
    os.set_inheritable(control, False)
    # Before the fork: what the plug-in orphans must come to us, not to init.
    tree.become_subreaper()
    wake = _listen()
    pid = os.fork()
    if pid == 0:
        _become_plugin(arguments[1:])
    _let_go_of_streams()
    status = _until_end(pid, control, wake)
    _sweep()
    os._exit(status)


def _listen() -> int:
    """Have TERM and the end of children show on a pipe, and return its read end."""
    wake_read, wake_write = os.pipe()
    for descriptor in (wake_read, wake_write):
        os.set_blocking(descriptor, False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    # The agent's terminal is not ours to hear.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A handler in Python runs late; the number of the signal in a pipe wakes the poll at once.
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    return wake_read


def _become_plugin(argv: list[str]) -> NoReturn:
    """Turn this forked child into the plug-in; it dies with the guard."""
    guard = os.getppid()
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        # A group of its own: TERM reaches its children too, and never the guard.
        os.setpgid(0, 0)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == guard:  # else it died before the kernel was asked to watch
            os.execv(argv[0], argv)  # noqa: S606 (the point of it)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(_EXIT_NOT_STARTED)


def _let_go_of_streams() -> None:
    """Close the plug-in's streams here: the agent must see when the plug-in closes them."""
    # With a copy of stdout here, the agent would never see the plug-in close it.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _until_end(pid: int, control: int, wake: int) -> int:
    """Return the plug-in's exit status once it has ended, by itself or by our doing."""
    poll = select.poll()
    # The pipe never carries a byte: all it can do is end, when the agent does.
    poll.register(control, select.POLLIN | select.POLLHUP)
    poll.register(wake, select.POLLIN)
    deadline: float | None = None
    while True:
        if (status := _reap(pid)) is not None:
            return status
        pause_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = {descriptor for descriptor, _ in poll.poll(pause_ms)}
        signals = os.read(wake, 512) if wake in ready else b""
        if deadline is None and (control in ready or signal.SIGTERM in signals):
            # The pipe has told what it can; it would only keep the poll awake.
            poll.unregister(control)
            tree.signal_group(pid, signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
        elif deadline is not None and time.monotonic() >= deadline:
            # Only the group: descendants outside of it are swept once the plug-in is gone.
            tree.signal_group(pid, signal.SIGKILL)
            deadline = time.monotonic() + GRACE_SECONDS


def _reap(pid: int) -> int | None:
    """Collect what has ended; return the plug-in's exit status when it was among them."""
    while child := tree.dead_child():
        _, status = os.waitpid(child, 0)
        if child == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else _SIGNALED - code
    return None


def _sweep() -> None:
    """Kill every descendant until none is left; they may fork while it is being done."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while tree.dead_child() is not None and time.monotonic() < deadline:
        # Freeze and kill, again and again: some may have forked between the looks.
        tree.kill_all(tree.descendants([os.getpid()]))
        while child := tree.dead_child():
            os.waitpid(child, 0)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
