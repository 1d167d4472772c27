"""Ends a task whose sub-agent is gone: kill what is left of it, save its output, record it.

Blocking; runs in a thread. Finds the script by its identity and everything it started by
descent, by the variable every process of a task carries and by its control group. Without
a group, what cleared its environment and left the tree after the sub-agent died is out of
reach.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping

from agent_client.protocol.messages import TaskSpec
from agent_client.sub_agent import tree
from agent_client.sub_agent.group import Group
from agent_client.sub_agent.identity import ProcessIdentity, boot_id, read_stat
from agent_client.sub_agent.launch import environment_marker
from agent_client.sub_agent.output import FINAL_DRAIN_BYTES, OutputFile, drain
from agent_client.tasks.taskdir import ExitRecord, RunRecord, TaskDirectory


class LostTree:
    """The processes of one task without sub-agent, killed round by round."""

    def __init__(self, directory: TaskDirectory, script: ProcessIdentity | None) -> None:
        self._marker = environment_marker(os.fspath(directory.path))
        run = directory.run()
        # Not after a reboot: the directories of a group say nothing about another boot.
        self._group = Group(run.groups if run and not _was_before_boot(run) else ())
        self._script = script
        self._met: set[int] = set()
        stat = read_stat(script.pid) if script is not None else None
        if script is not None and stat is not None and stat.start_time == script.start_time:
            self._met.add(script.pid)

    def kill_round(self) -> bool:
        """Kill every process of the task that can be found; True when there was none left."""
        self._group.kill()
        left = tree.marked(self._marker)
        for pid in self._group.pids():
            stat = read_stat(pid)
            if stat is not None and stat.state not in "ZX":
                left[pid] = stat.start_time
        if self._script is not None and self._script.is_alive():
            left.update(tree.descendants([self._script.pid], include_roots=True))
        left.pop(os.getpid(), None)
        tree.kill_all(left)
        self._met.update(left)
        self._reap()
        if not left:
            self._group.remove()
        return not left

    def _reap(self) -> None:
        """Collect those that became our own children, as subreaper, each by its pid.

        One that is not ours may become so when its parent is dead too.
        """
        for pid in tuple(self._met):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if read_stat(pid) is None:
                self._met.discard(pid)


def save_output(
    directory: TaskDirectory, spec: TaskSpec, pipes: Mapping[int, int]
) -> tuple[int, int]:
    """Append what the pipes (stream to read end) still hold; returns written and cut bytes."""
    output = OutputFile(os.fspath(directory.output), limit_bytes=spec.log_limit_bytes)
    try:
        for stream, pipe in pipes.items():
            drain(pipe, stream, output, max_bytes=FINAL_DRAIN_BYTES)
        output.sync()
        return output.written_bytes, output.cut_bytes
    finally:
        output.close()


def record_loss(
    directory: TaskDirectory, spec: TaskSpec, *, pipes: Mapping[int, int], now: float | None = None
) -> ExitRecord:
    """Save the output and write the end record, unless the sub-agent had written one."""
    own = directory.exit()
    if own is not None:
        return own
    run = directory.run()
    finished_at = time.time() if now is None else now
    written, cut = save_output(directory, spec, pipes)
    started_at = run.started_at if run else None
    record = ExitRecord(
        reason="host_reboot" if _was_before_boot(run) else "supervisor_lost",
        finished_at=finished_at,
        started_at=started_at,
        duration_seconds=max(0.0, finished_at - started_at) if started_at else 0.0,
        log_bytes=written,
        log_truncated_bytes=cut,
        detail=_detail(directory, run),
    )
    directory.store_exit(record)
    return record


def _was_before_boot(run: RunRecord | None) -> bool:
    """Return whether the script ran before the host's last start."""
    return run is not None and run.boot_id != boot_id()


def _detail(directory: TaskDirectory, run: RunRecord | None) -> str:
    """Return a sentence for the task's page."""
    if _was_before_boot(run):
        return "the host was restarted while the task ran"
    if run is None:
        text = "the task's supervisor ended before the script was started"
    else:
        text = "the task's supervisor ended; its processes were stopped, its exit code is unknown"
    crash = directory.crash()
    return f"{text} ({crash})" if crash else text
