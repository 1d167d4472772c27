"""What an agent is told about a task: the wire form of a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from django.conf import settings

from agent_client.protocol.messages import ScriptType, TaskLimits, TaskSpec
from agent_client.protocol.transfers import TaskKind
from dialer_platform.storage.installation import installation_id
from tasks.models import Task
from tasks.services.transfers import wire_of

_TOO_OLD = "echo 'This agent is too old to move files: bring it to a newer version.' >&2; exit 69\n"
"""What an agent that knows no kinds of tasks makes of a transfer: a failure that says why."""


def spec_of(task: Task) -> TaskSpec:
    """Return the complete order to run the task's current offer."""
    return TaskSpec(
        task_id=task.pk,
        offer=task.offer,
        installation=installation_id(),
        name=task.name,
        script_type=cast(ScriptType, str(task.script_type)),
        script_content=_TOO_OLD if task.moves_a_file else task.script_content,
        priority=task.priority,
        cpu_cores=task.cpu_cores,
        gpu_ids=tuple(task.gpu_ids),
        gpu_memory_mb=task.gpu_memory,
        timeout_seconds=task.timeout,
        env=task.env,
        working_dir=task.working_dir,
        merge_output=task.merge_output,
        run_as=task.run_as,
        limits=TaskLimits(**task.limits) if task.limits else None,
        log_limit_bytes=settings.LOG_LIMIT_BYTES,
        tenant_id=task.tenant_id,
        kind=cast(TaskKind, str(task.kind)),
        transfer=wire_of(task),
    )


def specs_of(task_ids: Iterable[int]) -> dict[int, TaskSpec]:
    """Return the orders of several tasks by id, read afresh with their scripts."""
    return {task.pk: spec_of(task) for task in Task.objects.filter(id__in=list(task_ids))}
