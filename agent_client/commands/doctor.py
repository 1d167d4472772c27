"""`doctor`: look for what keeps the agent of this host from working, with the remedy for each.

Changes nothing and needs no running agent. Ends with 0 when nothing is wrong, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from agent_client.capacity import INTERPRETERS
from agent_client.commands.main import overrides
from agent_client.commands.status import NoAnswer, ask, figure, parsed
from agent_client.config import AgentConfig, http_url, load_config
from agent_client.errors import AgentError, ConfigError, ExitCode
from agent_client.policy_file import load_policy, policy_file_of
from agent_client.registration import trust_of
from agent_client.state import Identity, StateDirectory
from agent_client.storage import report
from agent_client.sub_agent.group import make_group
from agent_client.transport.polling import open_session
from agent_client.transport.trust import Trust

SERVER_SECONDS = 5.0
MIN_FREE_BYTES = 64 * 1024 * 1024
OTHERS = 0o077


class Finding(NamedTuple):
    """One thing that was looked at; remedy is "" when it is well."""

    subject: str
    detail: str
    remedy: str = ""


def run(options: argparse.Namespace) -> int:
    """Print every finding and return whether something is wrong."""
    try:
        config = load_config(overrides(options), os.environ, Path.cwd(), upgrade=False)
    except ConfigError as error:
        print(f"agent_client: {error}", file=sys.stderr)
        return error.exit_code
    findings = [found for look in CHECKS for found in look(config)]
    if options.json:
        print(json.dumps([one._asdict() for one in findings], indent=2, ensure_ascii=False))
    else:
        for one in findings:
            print(f"{'bad ' if one.remedy else 'ok  '} {one.subject}: {one.detail}")
            if one.remedy:
                print(f"      {one.remedy}")
    return ExitCode.INTERNAL if any(one.remedy for one in findings) else ExitCode.OK


def look_at_configuration(config: AgentConfig) -> Iterator[Finding]:
    """Say which file counts, and what it warns of."""
    yield Finding("configuration", str(config.config_file or "no file, defaults"))
    for note in config.warnings:
        yield Finding("configuration", note, "Correct the file, then run check-config.")


def look_at_policy(config: AgentConfig) -> Iterator[Finding]:
    """Say what the host allows, or why its policy is not trusted."""
    path = policy_file_of(config)
    if config.policy_file is None and not path.exists() and _identity(config) is None:
        yield Finding("policy", "the first start of the agent writes it")
        return
    try:
        policy = load_policy(path)
    except ConfigError as error:
        yield Finding("policy", f"{path}: {error.problem}", error.remedy)
        return
    users = ", ".join(policy.users) or "nobody"
    yield Finding("policy", f"allows {', '.join(policy.work) or 'nothing'}; tasks run as {users}")
    for doubt in policy.doubts():
        yield Finding("policy", doubt.detail, doubt.remedy)


def look_at_state(config: AgentConfig) -> Iterator[Finding]:
    """Say whether the state directory is there, closed, writable and has room."""
    directory = config.state_dir
    if not directory.is_dir():
        yield Finding("state", f"{directory} is not there yet", "Start the agent once.")
        return
    if directory.stat().st_mode & OTHERS:
        yield Finding("state", f"{directory} is open to others", f"Run: chmod 700 {directory}")
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"x")
    except OSError as error:
        remedy = "Check its owner, its permissions and its file system."
        yield Finding("state", f"{directory}: {error.strerror}", remedy)
        return
    free = shutil.disk_usage(directory).free
    detail = f"{directory}, {free // 2**20} MiB free"
    remedy = "Free space: tasks are refused when it is full." if free < MIN_FREE_BYTES else ""
    yield Finding("state", detail, remedy)


def look_at_identity(config: AgentConfig) -> Iterator[Finding]:
    """Say whether the host is enrolled."""
    try:
        identity = StateDirectory(config.state_dir).load_identity()
    except AgentError as error:
        yield Finding("identity", error.detail, error.remedy)
        return
    if identity is not None:
        yield Finding("identity", f"enrolled as {identity.agent_id}")
    elif config.identification.agent_token:
        yield Finding("identity", "a credential is configured")
    else:
        remedy = "Run `manage.py enroll` on the server and start with --server URL --enroll TOKEN."
        yield Finding("identity", "not enrolled", remedy)


def look_at_server(config: AgentConfig) -> Iterator[Finding]:
    """Say whether the server answers, to whom the agent itself would speak and no other."""
    trust = trust_of(config, _identity(config))
    for address in config.connection.servers:
        try:
            status = _health_status(http_url(address), trust)
        except AgentError as error:
            yield Finding("server", f"{address} is not believed: {error.detail}", error.remedy)
            continue
        except OSError as error:  # those of requests too
            reason = str(error.__cause__ or error).partition(":")[0][:120]
            remedy = "Check its address, that it runs, and what stands between (proxy, firewall)."
            yield Finding("server", f"{address} does not answer ({reason})", remedy)
            continue
        is_well = status == 200
        remedy = "" if is_well else "Check that this is a Dialer server and no proxy in its place."
        yield Finding("server", f"{address} answers {status}", remedy)


def look_at_encryption(config: AgentConfig) -> Iterator[Finding]:
    """Say to which servers the credential goes unencrypted."""
    for address in config.connection.exposed_servers:
        detail = f"{address} is not encrypted: whoever listens gets this host's credential"
        remedy = "Give the server a certificate (DIALER_TLS_CERT, DIALER_TLS_KEY) and use https://."
        yield Finding("encryption", detail, remedy)


def _health_status(address: str, trust: Trust) -> int:
    """Return the status that the server's health has; raises AgentError or OSError."""
    with open_session(address, trust.context_for(address)) as session:
        answer = session.get(f"{address}/healthz", timeout=SERVER_SECONDS, allow_redirects=False)
        return answer.status_code


def _identity(config: AgentConfig) -> Identity | None:
    """Return who the host is; None also when that is not readable, which look_at_identity says."""
    try:
        return StateDirectory(config.state_dir).load_identity()
    except AgentError:
        return None


def look_at_agent(config: AgentConfig) -> Iterator[Finding]:
    """Say whether the agent runs, and what it complains of."""
    try:
        status = parsed(ask(config.state_dir, "/status"))
    except NoAnswer as error:
        yield Finding("agent", str(error), "Start it: python -m agent_client main")
        return
    uptime = figure(status, "uptime_seconds", "{:.0f} s")
    yield Finding("agent", f"version {status.get('version', '-')}, up {uptime}")
    for problem in status.get("problems", ()):
        yield Finding("agent", problem, "See the lines above, and the agent's log.")


def look_at_storage(config: AgentConfig) -> Iterator[Finding]:
    """Say how much of each kind lies on the disk, and what bounds it."""
    identity = _identity(config)
    for one in report(config, identity.installation if identity else ""):
        yield Finding("storage", f"{one.name} {one.size_bytes / 2**20:.1f} MiB ({one.bound})")


def look_at_host(config: AgentConfig) -> Iterator[Finding]:
    """Say what the host offers to scripts."""
    found = [kind for kind, programs in INTERPRETERS.items() if any(map(shutil.which, programs))]
    remedy = "" if found else "Install bash or python3."
    yield Finding("interpreters", ", ".join(found) or "none", remedy)
    group = make_group(str(config.state_dir / "doctor"))
    group.remove()
    text = "each task gets its own" if group.directories else "none: processes are found by /proc"
    yield Finding("control groups", text)


CHECKS: tuple[Callable[[AgentConfig], Iterator[Finding]], ...] = (
    look_at_configuration,
    look_at_policy,
    look_at_state,
    look_at_identity,
    look_at_server,
    look_at_encryption,
    look_at_agent,
    look_at_storage,
    look_at_host,
)
