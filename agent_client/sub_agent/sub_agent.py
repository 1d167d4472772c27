"""The process beside one script: starts it, drains its output, stops it, records its end.

Owns one task directory while it lives (its lock on `claim` says so) and everything the
script starts. Single threaded, one loop. Promises that the script's identity is on disk
before its first instruction, that no descendant outlives the end record, and that the end
record is written last. Never talks to the network and needs no main agent to go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from agent_client.protocol import frames
from agent_client.sub_agent import launch, memory, records, restrict, tree
from agent_client.sub_agent.errors import StartError
from agent_client.sub_agent.group import Group, make_group
from agent_client.sub_agent.identity import identity_of
from agent_client.sub_agent.output import FINAL_DRAIN_BYTES, READ_BYTES, OutputFile, drain
from agent_client.sub_agent.stop import Stop

LINGER_SECONDS = 0.5
"""How long what a script left in the background may finish (`tee` behind a pipe does)."""
RECORD_TRIES = 60
_MAX_CONTROL_BYTES = 4096
_HINT_RUNNING, _HINT_UNKILLABLE = "running", "unkillable"


class SubAgent:
    """One task from claim to end record; `hints` is a pipe that wakes the main agent."""

    def __init__(self, directory: str, *, hints: int | None = None) -> None:
        self._directory = directory
        self._key = os.path.basename(directory)
        self._hints = hints
        self._files = records.FileSystem()
        self._selector = selectors.DefaultSelector()
        self._pipes: dict[int, int] = {}  # read end -> stream
        self._script = 0
        self._status: int | None = None
        self._start_failure = b""
        self._stop: Stop | None = None
        self._errors: int | None = None
        self._oom_kills: int | None = None
        self._group = Group()
        self._timeout_at: float | None = None
        self._started_at = self._started_monotonic = self._duration = 0.0

    def run(self) -> None:
        """Live the whole life of the task; returns at once when it is claimed already."""
        identity = identity_of(os.getpid())
        claim = records.take_claim(self._directory, json.dumps(identity._asdict()).encode())
        if claim is None:
            return
        self._spec = records.read_json(self._directory, records.SPEC) or {}
        order = records.read_json(self._directory, records.ORDER) or {}
        self._output = OutputFile(
            os.path.join(self._directory, records.OUTPUT),
            limit_bytes=self._spec.get("log_limit_bytes"),
        )
        try:
            records.reserve(self._directory, records.EXIT)
            plan = self._plan(order)
            self._open_channels()
            self._start(plan)
        except (StartError, restrict.RestrictError, OSError, KeyError) as error:
            self._group.remove()
            self._write_end(reason="start_failed", detail=_text(error))
            return
        while not self._has_ended():
            for key, _ in self._selector.select(self._wait_seconds()):
                key.data()
            self._advance(time.monotonic())
        self._finish()

    # --- start ----------------------------------------------------------------

    def _plan(self, order: dict[str, Any]) -> launch.Plan:
        """Make the task's control group and work out how the script is started."""
        limits = self._spec.get("limits") or {}
        self._group = make_group(
            self._directory,
            memory_mb=limits.get("memory_mb"),
            processes=limits.get("processes"),
        )
        restriction = restrict.plan(self._spec, limited=self._group.limited)
        return launch.make_plan(
            self._directory, self._spec, order, restriction=restriction, group=self._group
        )

    def _open_channels(self) -> None:
        """Listen for stop requests and for the end of children."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        control.setblocking(False)
        # Relative to the working directory: the full path may exceed what a socket name holds.
        os.chdir(self._directory)
        control.bind(records.CONTROL)
        self._selector.register(control, selectors.EVENT_READ, lambda: self._hear(control))
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self._selector.register(wake_read, selectors.EVENT_READ, lambda: self._reap(wake_read))

    def _start(self, plan: launch.Plan) -> None:
        """Fork the script, record who it is, then let it begin."""
        stdout, write_out = os.pipe()
        self._watch(stdout, lambda: self._drain(stdout), stream=frames.STDOUT)
        write_err = write_out
        if not self._spec.get("merge_output"):
            stderr, write_err = os.pipe()
            self._watch(stderr, lambda: self._drain(stderr), stream=frames.STDERR)
        script = launch.fork_script(plan, launch.Pipes(write_out, write_err))
        for descriptor in {write_out, write_err}:
            os.close(descriptor)
        self._script = script.pid
        self._errors = script.errors
        self._watch(script.errors, lambda: self._hear_exec(script.errors))
        self._oom_kills = self._count_oom_kills()
        self._started_at, self._started_monotonic = time.time(), time.monotonic()
        timeout = self._spec.get("timeout_seconds")
        if timeout is not None:
            self._timeout_at = self._started_monotonic + float(timeout)
        self._write_run()
        script.release()
        self._hint(_HINT_RUNNING)

    def _watch(self, descriptor: int, react: Callable[[], None], *, stream: int = 0) -> None:
        os.set_blocking(descriptor, False)
        self._selector.register(descriptor, selectors.EVENT_READ, react)
        if stream:
            self._pipes[descriptor] = stream

    def _write_run(self) -> None:
        """Record the script's identity and where its output can be read, durably."""
        run = {
            **identity_of(self._script)._asdict(),
            "started_at": self._started_at,
            "sub_agent_pid": os.getpid(),
            "groups": self._group.directories,
            "outputs": {str(stream): pipe for pipe, stream in self._pipes.items()},
        }
        records.write_record(self._files, self._directory, records.RUN, json.dumps(run).encode())

    # --- life -----------------------------------------------------------------

    def _drain(self, pipe: int) -> None:
        """Move one read of a pipe into the output."""
        if drain(pipe, self._pipes[pipe], self._output, max_bytes=1):
            self._close(pipe)

    def _close(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        self._pipes.pop(descriptor, None)
        os.close(descriptor)

    def _hear_exec(self, errors: int) -> None:
        """Take the reason why exec failed; the pipe just ends when it did not."""
        try:
            self._start_failure += os.read(errors, READ_BYTES)
        except BlockingIOError:
            return
        self._errors = None
        self._close(errors)

    def _hear(self, control: socket.socket) -> None:
        """Obey one stop request; anything else on the channel is ignored."""
        try:
            request = json.loads(control.recv(_MAX_CONTROL_BYTES))
            reason, grace = str(request["stop"]), float(request["grace_seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        self._request_stop(reason, grace)

    def _reap(self, wake: int | None = None) -> None:
        """Collect every dead child by its own pid: the script, and orphans that came to us."""
        if wake is not None:
            os.read(wake, READ_BYTES)
        while pid := tree.dead_child():
            _, status = os.waitpid(pid, 0)
            if pid == self._script:
                self._script_ended(status, time.monotonic())

    def _script_ended(self, status: int, now: float) -> None:
        """Note how the script ended; what it left behind gets a moment to end by itself."""
        self._status = status
        self._duration = now - self._started_monotonic
        if self._stop is None:
            self._stop = Stop(reason="exit", kill_at=now + LINGER_SECONDS)
        else:
            self._stop.hurry(now + LINGER_SECONDS)

    def _request_stop(self, reason: str, grace_seconds: float) -> None:
        """Record the intent, then ask the script to end; the first reason stays."""
        self._reap()
        now = time.monotonic()
        if self._stop is not None:
            self._stop.hurry(now + grace_seconds if self._status is None else now)
            return
        intent = json.dumps({"reason": reason, "requested_at": time.time()}).encode()
        # A full disk must not keep a script from being stopped.
        with contextlib.suppress(OSError):
            records.write_record(self._files, self._directory, records.STOP, intent)
        self._stop = Stop(reason=reason, kill_at=now + grace_seconds)
        tree.signal_group(self._script, signal.SIGTERM)
        tree.signal_group(self._script, signal.SIGCONT)

    def _advance(self, now: float) -> None:
        """Do what is due: timeout, kill, the sweep behind a script that has ended."""
        if self._timeout_at is not None and now >= self._timeout_at:
            self._timeout_at = None
            self._request_stop("timeout", float(self._spec.get("grace_seconds", 10.0)))
        if self._stop is not None and self._stop.is_due(now):
            self._kill(self._stop, now)

    def _kill(self, stop: Stop, now: float) -> None:
        """Kill the group and every descendant; called again until none is left."""
        if self._status is None:
            tree.signal_group(self._script, signal.SIGKILL)
        self._group.kill()
        tree.kill_all(tree.descendants([os.getpid()]))
        self._reap()
        if stop.killed(now):
            os.close(os.open(records.UNKILLABLE, os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._hint(_HINT_UNKILLABLE)

    def _wait_seconds(self) -> float | None:
        """Return how long the loop may sleep."""
        times = [] if self._timeout_at is None else [self._timeout_at]
        if self._stop is not None:
            times.append(self._stop.kill_at)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _has_ended(self) -> bool:
        """Return whether script and descendants are gone; as subreaper we would hold them."""
        return self._status is not None and tree.dead_child() is None

    # --- end ------------------------------------------------------------------

    def _finish(self) -> None:
        """Take what is left in the pipes and write the end record."""
        for pipe, stream in self._pipes.items():
            drain(pipe, stream, self._output, max_bytes=FINAL_DRAIN_BYTES)
        if self._errors is not None:
            self._hear_exec(self._errors)
        if self._start_failure:
            detail = self._start_failure.decode("utf-8", "replace")
            self._write_end(reason="start_failed", detail=detail)
            return
        code = os.waitstatus_to_exitcode(self._status or 0)
        reason = self._stop.reason if self._stop is not None else "exit"
        if reason == "exit" and memory.was_out_of_memory(
            code, self._oom_kills, self._count_oom_kills()
        ):
            reason = "out_of_memory"
        self._group.remove()
        self._write_end(reason=reason, code=code)

    def _count_oom_kills(self) -> int | None:
        """Return the kernel's count for the task's own group, else for the one we are in."""
        own = self._group.oom_kills()
        return memory.oom_kills() if own is None else own

    def _write_end(self, *, reason: str, detail: str = "", code: int | None = None) -> None:
        """Write exit.json once everything it speaks of is durable; tries while the disk fails."""
        self._output.sync()
        record: dict[str, Any] = {
            "reason": reason,
            "exit_code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "started_at": self._started_at or None,
            "finished_at": time.time(),
            "duration_seconds": self._duration,
            "log_bytes": self._output.written_bytes,
            "log_truncated_bytes": self._output.cut_bytes,
            "detail": "; ".join(filter(None, (detail, self._output.failure))),
        }
        for _ in range(RECORD_TRIES):
            try:
                data = json.dumps(record).encode()
                records.write_record(self._files, self._directory, records.EXIT, data)
                return
            except OSError:
                time.sleep(1)

    def _hint(self, event: str) -> None:
        """Wake the main agent; it finds everything on disk if the hint is lost."""
        if self._hints is None:
            return
        try:
            os.write(self._hints, f"{self._key} {event}\n".encode())
        except OSError:
            self._hints = None


def run_task(directory: str, *, hints: int | None) -> None:
    """Become the sub-agent of a task directory and live until its end.

    A defect of our own leaves its text in `crash`; the main agent then ends the task.
    """
    _detach()
    try:
        SubAgent(directory, hints=hints).run()
    except Exception as error:
        text = f"{error.__class__.__name__}: {error}".encode("utf-8", "replace")
        records.write_record(records.FileSystem(), directory, records.CRASH, text)
        raise


def _detach() -> None:
    """Leave the session, the standard streams and the signals of whoever started us."""
    os.setsid()
    tree.become_subreaper()
    null = os.open(os.devnull, os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(null, target)
    if null > 2:
        os.close(null)
    # A host that shuts down sends TERM to all: stay to record how the script took it.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _text(error: BaseException) -> str:
    """Return an error as a sentence for a person."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"the task's spec lacks {error}" if isinstance(error, KeyError) else str(error)
