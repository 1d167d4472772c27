"""The table of kinds an agent can run, and the way from a probe task to a run.

A new kind is one import and one entry here; docs/adding-a-probe.md says what else.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import msgspec

from agent_client.probes import (
    dns,
    http,
    mysql,
    ping,
    postgresql,
    redis,
    script,
    smtp,
    ssh,
    tcp,
    tls,
    udp,
    websocket,
)
from agent_client.probes.kind import Finding, Kind, Run
from agent_client.protocol import probe_kinds
from agent_client.protocol.probes import ProbeTask

_NETWORK = (http, tcp, ping, dns, tls, udp, websocket)
_SERVICES = (smtp, ssh, postgresql, mysql, redis)
KINDS: dict[str, Kind] = {one.KIND.name: one.KIND for one in (*_NETWORK, *_SERVICES, script)}
MAX_TIMEOUT_SECONDS = 300.0
DEFAULT_TIMEOUT_SECONDS = 10.0


def timeout_of(task: ProbeTask) -> float:
    """Return the seconds a run may take: the task's, else min(10 s, half of the interval)."""
    wanted = task.timeout or min(DEFAULT_TIMEOUT_SECONDS, task.interval / 2)
    return min(wanted, MAX_TIMEOUT_SECONDS)


def prepare(
    task: ProbeTask,
    clock: Callable[[], float] = time.monotonic,
    denied_kinds: frozenset[str] = frozenset(),
) -> tuple[Kind, Run] | Finding:
    """Return what to run, its deadline counted from now; a finding when it cannot run.

    Call it at the start of the execution: time in a queue is no part of the timeout.
    denied_kinds are those that the host's policy does not allow, like scripts.
    """
    if task.kind in denied_kinds:
        return Finding("error", "denied", "", f"The host's policy allows no {task.kind} probes.")
    kind = KINDS.get(task.kind)
    settings = _settings(task.kind, task.target, msgspec.json.encode(task.config))
    if isinstance(settings, Finding):
        return settings
    if kind is None:
        return Finding("error", "config_invalid", "", f"Agents do not run {task.kind} probes.")
    return kind, Run(task.target, settings, clock() + timeout_of(task), clock)


@functools.lru_cache(maxsize=16_384)
def _settings(kind: str, target: str, config: bytes) -> Any:
    """Return the settings struct, or the finding that says what is wrong with them.

    Checked again here although the server did: an older or a foreign server may not have.
    """
    decoded = msgspec.json.decode(config)
    problems = probe_kinds.check(kind, target, decoded)
    if problems:
        name, sentences = next(iter(problems.items()))
        return Finding("error", "config_invalid", "", f"{name}: {sentences[0]}"[:500])
    return probe_kinds.settings(kind, decoded)
