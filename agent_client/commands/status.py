"""`status`: ask the agent of this host how it is, through its socket file.

Ends with 0 when it is well, 3 when it runs and cannot work, 6 when nobody answers.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent_client.commands.main import overrides
from agent_client.config import AgentConfig, load_config
from agent_client.errors import AgentError, ConfigError, ExitCode
from agent_client.health.endpoint import SOCKET_FILE
from agent_client.state import StateDirectory
from agent_client.storage import report

ANSWER_SECONDS = 5.0
Status = Mapping[str, Any]
"""The fields of `Health` that the running agent knows: it may be of another version."""


class NoAnswer(Exception):
    """No agent answers; the text says where it was asked."""


def run(options: argparse.Namespace) -> int:
    """Print the status and return the exit code."""
    try:
        config = load_config(overrides(options), os.environ, Path.cwd(), upgrade=False)
        body = ask(config.state_dir, "/status")
        status = parsed(body)
    except ConfigError as error:
        print(f"agent_client: {error}", file=sys.stderr)
        return error.exit_code
    except NoAnswer as error:
        print(f"agent_client: {error}", file=sys.stderr)
        return ExitCode.LOCKED
    print(body.decode().rstrip() if options.json else as_text(status))
    if not options.json:
        print(storage_line(config))
    return ExitCode.OK if is_ready(status) else ExitCode.UNREACHABLE


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


def parsed(body: bytes) -> Status:
    """Return a status document; raises NoAnswer when it is none."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise NoAnswer(f"the agent's answer is no status ({error})") from error


def is_ready(status: Status) -> bool:
    """Return whether the agent can work."""
    return bool(status.get("is_ready", not status.get("problems")))


def figure(status: Status, name: str, text: str, scale: float = 1) -> str:
    """Return a number of the status times scale in words, "-" where the agent gives none."""
    value = status.get(name)
    return text.format(value * scale) if isinstance(value, int | float) else "-"


def storage_line(config: AgentConfig) -> str:
    """Return how much of each kind lies on the disk; `doctor` says what bounds it."""
    try:
        identity = StateDirectory(config.state_dir).load_identity()
    except AgentError:
        identity = None
    kept = report(config, identity.installation if identity else "")
    return "  on disk  " + ", ".join(f"{one.name} {one.size_bytes / 2**20:.1f} MiB" for one in kept)


def as_text(status: Status) -> str:
    """Return the status for a person: what is wrong first."""
    name, agent_id, server, transport, version = (
        status.get(key, "-") for key in ("name", "agent_id", "server", "transport", "version")
    )
    verdict = "is well" if is_ready(status) else "cannot work"
    lines = [f"{name} ({agent_id}) {verdict}: {server}, {transport}"]
    lines += [f"  ! {problem}" for problem in status.get("problems", ())]
    slots = "/".join(figure(status, key, "{}") for key in ("slots_booked", "slots"))
    figures = (
        f"version {version}",
        f"up {figure(status, 'uptime_seconds', '{:.0f} s')}",
        figure(status, "memory_bytes", "{:.0f} MiB", 2**-20),
        figure(status, "cpu_percent", "{:.1f} % of a core"),
        f"slots {slots}",
        f"disk {figure(status, 'disk_usage_percent', '{:.0f} %')}",
        f"loop lag p99 {figure(status, 'loop_lag_p99_seconds', '{:.1f} ms', 1000)}",
    )
    lines.append("  " + ", ".join(figures))
    loops = status.get("loops", {})
    width = max(map(len, loops), default=0)
    lines += [f"  {part:{width}}  {line}" for part, line in loops.items()]
    return "\n".join(lines)
