"""What the log says about probes, in the catalogue's sentences."""

from __future__ import annotations

import logging

from agent_client.catalogue import announce
from agent_client.probes.kind import Finding
from agent_client.probing.plan import Changes, Probe
from agent_client.protocol.messages import ThreadPool

logger = logging.getLogger(__name__)


def say_changes(changes: Changes) -> None:
    """Say which probes came, changed and went."""
    for task in changes.added:
        announce(
            logger,
            "probe_added",
            task_id=task.task_id,
            interval=f"{task.interval:g}",
            tenant=task.tenant_id,
        )
    for task in changes.changed:
        announce(logger, "probe_changed", task_id=task.task_id, interval=f"{task.interval:g}")
    for task in changes.removed:
        announce(logger, "probe_removed", task_id=task.task_id)


def say_trouble(probe: Probe, finding: Finding) -> None:
    """Say that a probe failed, once as long as it fails for the same reason.

    A target that is down for a day at an interval of a second would fill the log.
    """
    fails = finding.outcome in ("down", "error")
    trouble = f"{finding.outcome} {finding.reason}" if fails else ""
    if trouble and trouble != probe.last_trouble:
        error = finding.error or finding.reason
        announce(logger, "task_failed", task_id=probe.task.task_id, error=error)
    probe.last_trouble = trouble


def say_pool(state: ThreadPool) -> None:
    """Say the state of the pool, at the level DEBUG."""
    announce(
        logger,
        "thread_pool",
        active=state.active_threads,
        pending=state.pending_tasks,
        completed=state.completed_tasks,
    )
