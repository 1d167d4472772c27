"""The wire's live figures as the plain JSON that rows, REST and pages show: every key, always."""

from __future__ import annotations

from typing import Any

import msgspec

from agent_client.protocol.messages import Gpu, ProbePool, Resources, ThreadPool

MAX_FOREIGN = 256
MAX_NAMED_PROBES = 200
MAX_REASONS = 16


def gpu_json(gpu: Gpu) -> dict[str, Any]:
    """Return one GPU in the API's shape; memory in MB, utilization in percent."""
    return {
        "uuid": gpu.uuid,
        "index": gpu.index,
        "name": gpu.name,
        "utilization": gpu.utilization,
        "memory_used": gpu.memory_used,
        "memory_total": gpu.memory_total,
        "tasks": list(gpu.tasks[:MAX_FOREIGN]),
        "foreign": [
            {
                "pid": process.pid,
                "user": process.user,
                "name": process.name,
                "memory_mb": process.memory_mb,
                "since": process.since,
            }
            for process in gpu.foreign[:MAX_FOREIGN]
        ],
    }


def resources_json(resources: Resources | None) -> dict[str, Any]:
    """Return a host's sample, empty when there is none."""
    return msgspec.structs.asdict(resources) if resources else {}


def thread_pool_json(pool: ThreadPool, probes: ProbePool | None = None) -> dict[str, Any]:
    """Return the probe pool's state in the user's field names, then what the scheduler adds."""
    found: dict[str, Any] = msgspec.structs.asdict(pool)
    if probes is not None:
        found |= msgspec.structs.asdict(probes)
        # A heartbeat says at most 200; a hostile one must not swell the row.
        found["running"] = list(probes.running[:MAX_NAMED_PROBES])
        found["waiting"] = list(probes.waiting[:MAX_NAMED_PROBES])
        found["missed"] = dict(list(probes.missed.items())[:MAX_REASONS])
    return found
