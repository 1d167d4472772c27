"""`status`: ask the agent of this host how it is, through its socket file.

Ends with 0 when it is well, 3 when it runs and cannot work, 6 when nobody answers.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

import msgspec

from agent_client.commands.main import overrides
from agent_client.config import AgentConfig, load_config
from agent_client.errors import AgentError, ConfigError, ExitCode
from agent_client.health.endpoint import SOCKET_FILE
from agent_client.health.report import Health
from agent_client.state import StateDirectory
from agent_client.storage import report

ANSWER_SECONDS = 5.0


class NoAnswer(Exception):
    """No agent answers; the text says where it was asked."""


def run(options: argparse.Namespace) -> int:
    """Print the status and return the exit code."""
    try:
        config = load_config(overrides(options), os.environ, Path.cwd(), upgrade=False)
        body = ask(config.state_dir, "/status")
    except ConfigError as error:
        print(f"agent_client: {error}", file=sys.stderr)
        return error.exit_code
    except NoAnswer as error:
        print(f"agent_client: {error}", file=sys.stderr)
        return ExitCode.LOCKED
    health = msgspec.json.decode(body, type=Health)
    print(body.decode().rstrip() if options.json else as_text(health))
    if not options.json:
        print(storage_line(config))
    return ExitCode.OK if health.is_ready else ExitCode.UNREACHABLE


def ask(state_dir: Path, path: str) -> bytes:
    """Return the body of an answer of the running agent; raises NoAnswer."""
    try:
        directory = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise NoAnswer(f"{state_dir}: {error.strerror}; name it with --state-dir") from error
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(ANSWER_SECONDS)
            channel.connect(f"/proc/self/fd/{directory}/{SOCKET_FILE}")
            channel.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = b"".join(iter(lambda: channel.recv(65536), b""))
    except OSError as error:
        detail = f"no agent answers in {state_dir} ({error.strerror or error}); is it started?"
        raise NoAnswer(detail) from error
    finally:
        os.close(directory)
    return answer.partition(b"\r\n\r\n")[2]


def storage_line(config: AgentConfig) -> str:
    """Return how much of each kind lies on the disk; `doctor` says what bounds it."""
    try:
        identity = StateDirectory(config.state_dir).load_identity()
    except AgentError:
        identity = None
    kept = report(config, identity.installation if identity else "")
    return "  on disk  " + ", ".join(f"{one.name} {one.size_bytes / 2**20:.1f} MiB" for one in kept)


def as_text(health: Health) -> str:
    """Return the status for a person: what is wrong first."""
    verdict = "is well" if health.is_ready else "cannot work"
    lines = [f"{health.name} ({health.agent_id}) {verdict}: {health.server}, {health.transport}"]
    lines += [f"  ! {problem}" for problem in health.problems]
    lines.append(
        f"  version {health.version}, up {health.uptime_seconds:.0f} s, "
        f"{health.memory_bytes / 2**20:.0f} MiB, {health.cpu_percent:.1f} % of a core, "
        f"slots {health.slots_booked}/{health.slots}, disk {health.disk_usage_percent:.0f} %, "
        f"loop lag p99 {health.loop_lag_p99_seconds * 1000:.1f} ms"
    )
    width = max(len(name) for name in health.loops)
    lines += [f"  {name:{width}}  {line}" for name, line in health.loops.items()]
    return "\n".join(lines)
