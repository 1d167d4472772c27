"""script: runs a shell script on this host; its exit code is the verdict.

The script gets a session of its own, so that at the deadline everything it started ends
with it, and its output is read only as far as a result can show it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from typing import IO

from agent_client.probes.failures import finding_of
from agent_client.probes.kind import Finding, Kind, Run
from agent_client.protocol.probe_kinds.script import ScriptSettings

SHELL = "/bin/sh"
MAX_OUTPUT_BYTES = 4_096
SHOWN_CHARACTERS = 500
READ_BYTES = 65_536


def _call(run: Run) -> Finding:
    """Run the script to its end or to the deadline."""
    settings: ScriptSettings = run.config
    started = run.clock()
    environment = {"PROBE_TARGET": run.target, "PATH": os.environ.get("PATH", os.defpath)}
    environment["LANG"] = "C.UTF-8"
    with subprocess.Popen(
        [SHELL, "-c", settings.script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        start_new_session=True,
    ) as process:
        try:
            ended, output = _watch(process, run)
        finally:
            # Also after a normal end: what it left in the background is part of the run.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # Before the `with` closes: it would wait for children that hold the pipe.
            code = process.wait()
    phases = {"run": run.clock() - started}
    details = {"exit_code": code, "output": output}
    if not ended:
        late = finding_of(TimeoutError(), "run")
        return Finding(late.outcome, late.reason, late.phase, late.error, phases, details)
    return _verdict(settings, code, output, phases)


KIND = Kind("script", ScriptSettings, call=_call)


def _watch(process: subprocess.Popen[bytes], run: Run) -> tuple[bool, str]:
    """Return whether the shell ended in time, and the beginning of its output."""
    stream = process.stdout
    assert stream is not None  # noqa: S101 (a pipe was asked for)
    os.set_blocking(stream.fileno(), False)
    kept = bytearray()
    # The process, not the pipe, says when it is over: a child may keep the pipe open.
    watcher = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(watcher, select.POLLIN)
        poll.register(stream, select.POLLIN)
        while True:
            ready = dict(poll.poll(max(0.0, (run.deadline - run.clock()) * 1_000)))
            if stream.fileno() in ready and not _keep(stream, kept):
                poll.unregister(stream)
            if watcher in ready or run.clock() >= run.deadline:
                _keep(stream, kept)
                return watcher in ready, bytes(kept).decode("utf-8", "replace").strip()
    finally:
        os.close(watcher)


def _keep(stream: IO[bytes], kept: bytearray) -> bool:
    """Read what is there and keep the beginning; False at the end of the stream."""
    try:
        content = os.read(stream.fileno(), READ_BYTES)
    except BlockingIOError:
        return True
    kept += content[: MAX_OUTPUT_BYTES - len(kept)]
    return bool(content)


def _verdict(settings: ScriptSettings, code: int, output: str, phases: dict[str, float]) -> Finding:
    shown = output[:SHOWN_CHARACTERS]
    details = {"exit_code": code, "output": shown}
    if code == 0:
        return Finding("up", phases=phases, details=details)
    last = shown.rsplit("\n", 1)[-1]
    error = f"exit code {code}: {last}".rstrip(": ")
    if settings.degraded_code and code == settings.degraded_code:
        return Finding("degraded", "assertion", "run", error, phases, details)
    return Finding("down", "assertion", "run", error, phases, details)
