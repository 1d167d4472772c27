"""The agent that `up` runs on the server's own machine.

Owns one child process: starts it in a session of its own (so that Ctrl-C in the terminal
reaches only the server), starts it again with growing pauses when it dies, and ends it in
order. The child also ends when this process vanishes, because its liveness pipe closes.
Never touches the tasks: they belong to their own supervisors and go on.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_AFTER_SECONDS = 30.0
STOP_SECONDS = 10.0
TOKEN_FILE = "enrol_token"  # noqa: S105 - a file name
OUTPUT_FILE = "console.log"
IDENTITY_FILE = "identity.json"
LIVENESS_VARIABLE = "AGENT_LIVENESS_FD"


class LocalAgent:
    """Keeps one agent process alive until `stop()`."""

    def __init__(
        self,
        *,
        command: list[str],
        state_dir: Path,
        environment: Mapping[str, str],
        working_dir: Path,
        new_token: Callable[[], str] | None,
    ) -> None:
        """Prepare; `new_token` makes an enrolment token for a host that has no identity."""
        self._command = command
        self._state_dir = state_dir
        self._environment = dict(environment)
        self._working_dir = working_dir
        self._new_token = new_token
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_alive, name="local-agent", daemon=True)
        self._liveness_read, self._liveness_write = os.pipe()

    def start(self) -> None:
        """Start the agent and the thread that watches it."""
        self._state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._thread.start()

    def stop(self) -> None:
        """Ask the agent to leave, wait for it, end it when it does not; tasks go on."""
        self._stopping.set()
        with self._guard:
            child = self._child
        if child is not None:
            _end(child)
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        for descriptor in (self._liveness_read, self._liveness_write):
            os.close(descriptor)
        self._forget_token()

    def _keep_alive(self) -> None:
        """Run the agent again and again until told to stop."""
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            started = time.monotonic()
            code = self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > HEALTHY_AFTER_SECONDS:
                pause_seconds = FIRST_PAUSE_SECONDS
            logger.warning(
                "local agent ended", extra={"data": {"code": code, "again_in": pause_seconds}}
            )
            self._stopping.wait(pause_seconds)
            pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def _run_once(self) -> int | None:
        """Start the agent and wait for its end; returns its exit code."""
        environment = {**self._environment, LIVENESS_VARIABLE: str(self._liveness_read)}
        if self._new_token and not (self._state_dir / IDENTITY_FILE).exists():
            environment["AGENT_ENROLL_TOKEN_FILE"] = str(self._write_token(self._new_token()))
        with self._guard:
            if self._stopping.is_set():
                return None
            child = self._child = self._spawn(environment)
        return child.wait()

    def _spawn(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start the process; what it prints goes to a file that each start begins anew.

        The agent keeps that file small by itself: its log has a file of its own.
        """
        with (self._state_dir / OUTPUT_FILE).open("wb") as output:
            return subprocess.Popen(
                self._command,
                cwd=self._working_dir,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(self._liveness_read,),
            )

    def _write_token(self, token: str) -> Path:
        """Hand the token over by a file only its owner can read, never by arguments."""
        path = self._state_dir / TOKEN_FILE
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token)
        return path

    def _forget_token(self) -> None:
        """Remove the token's file; the token itself is used or expires within the hour."""
        (self._state_dir / TOKEN_FILE).unlink(missing_ok=True)


def set_identity_aside(state_dir: Path, *, is_known: Callable[[str], bool]) -> bool:
    """Make room for a new enrolment when this server never heard of the agent; True if so.

    That happens when the database was replaced. A revoked agent is known, and stays out.
    """
    path = state_dir / IDENTITY_FILE
    try:
        agent_id = str(json.loads(path.read_text(encoding="utf-8")).get("agent_id") or "")
    except FileNotFoundError:
        return False
    except (ValueError, AttributeError):
        agent_id = "unreadable"
    if not agent_id or is_known(agent_id):
        return False
    path.replace(path.with_suffix(".unknown"))
    logger.warning("local agent will enrol anew", extra={"data": {"former_id": agent_id}})
    return True


def agent_command(*, url: str, name: str, state_dir: Path) -> list[str]:
    """Return the command line of the agent of this host."""
    return [
        *(sys.executable, "-m", "agent_client", "main"),
        *("--server", url.rstrip("/"), "--name", name, "--state-dir", str(state_dir)),
    ]


def _end(child: subprocess.Popen[bytes]) -> None:
    """Stop one process: politely, then for sure."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        logger.warning("local agent did not leave in time and was killed")
        child.kill()
        child.wait()
