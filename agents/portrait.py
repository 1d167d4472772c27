"""One host as pages and REST show it: its row, with what memory knows better.

Reads only; a list of hosts costs the queries of `with_running_sub_agents` and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.utils import timezone

from agent_client.protocol.messages import SubAgent
from agents import connections, hot
from agents.choices import AgentStatus
from agents.live_figures import gpu_json, resources_json, thread_pool_json
from agents.models import Agent, HostRelease


@dataclass(slots=True)
class Portrait:
    """Every fact of an agent; `running_time` in seconds, usages in percent of the host."""

    agent: Agent
    last_heartbeat_time: datetime | None
    running_time: float
    cpu_usage: float
    memory_usage: float
    gpu_info: list[dict[str, Any]]
    cpu_cores: int
    available_cpu_cores: int
    thread_pool: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    is_connected: bool = False
    has_conflict: bool = False
    sub_agents: list[Portrait] = field(default_factory=list)
    memory_bytes: int = 0
    processes: int = 0
    progress: dict[str, Any] | None = None

    @property
    def release(self) -> HostRelease | None:
        """Return what is known of the host's release, None for one that never said."""
        try:
            return self.agent.release
        except HostRelease.DoesNotExist:
            return None

    @property
    def is_online(self) -> bool:
        """Return whether the agent's beats arrive."""
        return self.agent.status == AgentStatus.ONLINE


Progress = Mapping[int, dict[str, Any] | None]
ProgressReader = Callable[[Collection[int]], Progress]
_progress_readers: list[ProgressReader] = []


def register_progress(reader: ProgressReader) -> None:
    """Have another app say how far the tasks of sub-agents are, all of a page at once."""
    if reader not in _progress_readers:
        _progress_readers.append(reader)


def portraits(agents: Iterable[Agent]) -> list[Portrait]:
    """Return hosts, read by with_running_sub_agents(), with their running sub-agents."""
    hosts = list(agents)
    progress = _read_progress(hosts)
    return [_portrait(host, progress) for host in hosts]


def portrait(agent: Agent) -> Portrait:
    """Return one host with its running sub-agents."""
    return _portrait(agent, _read_progress([agent]))


def _portrait(agent: Agent, progress: Progress) -> Portrait:
    """Return one host; progress is by task."""
    known = hot.snapshot(agent.id)
    now = timezone.now()
    resources = resources_json(known.resources) if known else agent.resources
    booked = int(resources.get("cpu_cores_booked", 0))
    return Portrait(
        agent=agent,
        last_heartbeat_time=_last_heartbeat(agent, known, now),
        running_time=_running_seconds(agent, now),
        cpu_usage=float(resources.get("cpu_usage", agent.cpu_usage)),
        memory_usage=float(resources.get("memory_usage", agent.memory_usage)),
        gpu_info=_gpus(agent, known),
        cpu_cores=agent.cpu_cores,
        available_cpu_cores=max(0, agent.cpu_cores - booked),
        thread_pool=_thread_pool(agent, known),
        resources=resources,
        is_connected=connections.is_connected(agent.id),
        has_conflict=known.has_conflict if known else False,
        sub_agents=_sub_agents(agent, now, progress),
        memory_bytes=agent.memory_bytes,
    )


def _running(agent: Agent) -> list[Agent]:
    """Return the rows of the host's running sub-agents, if they were read."""
    return getattr(agent, "running_sub_agents", [])


def _read_progress(hosts: Iterable[Agent]) -> Progress:
    """Return how far the tasks of these hosts are, as far as anybody knows."""
    task_ids = {row.task_id for host in hosts for row in _running(host) if row.task_id}
    found: dict[int, dict[str, Any] | None] = {}
    for reader in _progress_readers if task_ids else ():
        found.update(reader(task_ids))
    return found


def _sub_agents(agent: Agent, now: datetime, progress: Progress) -> list[Portrait]:
    """Return the running sub-agents of a host with their live samples."""
    samples = {one.task_id: one for one in hot.live_sub_agents(agent.id)}
    return [
        _sub_agent(row, samples.get(row.task_id or 0), now, progress.get(row.task_id or 0))
        for row in _running(agent)
    ]


def _sub_agent(
    row: Agent, sample: SubAgent | None, now: datetime, progress: dict[str, Any] | None
) -> Portrait:
    """Return one sub-agent; figures are zero until its first sample."""
    known = hot.snapshot(row.main_agent_id or "")
    said = sample.progress if sample else None
    return Portrait(
        agent=row,
        last_heartbeat_time=_last_heartbeat(row, known, now),
        running_time=_running_seconds(row, now),
        cpu_usage=sample.cpu_usage if sample else 0.0,
        memory_usage=sample.memory_usage if sample else 0.0,
        gpu_info=[gpu_json(gpu) for gpu in sample.gpu_info] if sample else [],
        cpu_cores=row.cpu_cores,
        available_cpu_cores=0,
        memory_bytes=sample.memory_bytes if sample else 0,
        processes=sample.processes if sample else 0,
        progress=msgspec.structs.asdict(said) if said else progress,
    )


def _thread_pool(agent: Agent, known: hot.HotAgent | None) -> dict[str, Any]:
    """Return the probe pool of the last beat, else that of the row."""
    return thread_pool_json(known.thread_pool, known.probe_pool) if known else agent.thread_pool


def _gpus(agent: Agent, known: hot.HotAgent | None) -> list[dict[str, Any]]:
    """Return the GPUs of the last beat, else those of the row."""
    if known and known.gpus is not None:
        return [gpu_json(gpu) for gpu in known.gpus]
    return list(agent.gpu_info)


def _last_heartbeat(agent: Agent, known: hot.HotAgent | None, now: datetime) -> datetime | None:
    """Return the time of the last beat; memory is up to two seconds ahead of the row."""
    if known is None:
        return agent.last_heartbeat_time
    heard = now - timedelta(seconds=known.age_seconds)
    return max(heard, agent.last_heartbeat_time or heard)


def _running_seconds(agent: Agent, now: datetime) -> float:
    """Return how long the agent has been online, 0 while it is not."""
    if agent.status != AgentStatus.ONLINE or agent.online_since is None:
        return 0.0
    return max(0.0, round((now - agent.online_since).total_seconds(), 1))
