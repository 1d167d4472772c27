"""The bandwidth that a transfer has of its own: what it is, and a change while it runs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from agent_client.booking import TaskKey
from agent_client.protocol.messages import BandwidthOrder

if TYPE_CHECKING:
    from agent_client.tasks.supervisor import LocalTask

logger = logging.getLogger(__name__)


def limit_bandwidths(tasks: Mapping[TaskKey, LocalTask], orders: Iterable[BandwidthOrder]) -> None:
    """Hold transfers to other limits of their own; each looks at its own within a second.

    What cannot be written is said with the next list of holds, so the order comes again.
    """
    for order in orders:
        task = tasks.get((order.task_id, order.offer))
        if task is None or task.spec.transfer is None or task.state == "finished":
            continue
        try:
            task.directory.store_bandwidth(order.bandwidth_mb)
        except OSError as error:
            logger.warning("the limit of task %s.%s could not be kept: %s", *task.key, error)


def own_bandwidth(task: LocalTask) -> float | None:
    """Return the limit of a transfer in MB/s now, None for what is no transfer."""
    if task.spec.transfer is None or task.state == "finished":
        return None
    found = task.directory.bandwidth_mb()
    return task.spec.transfer.bandwidth_mb if found is None else found
