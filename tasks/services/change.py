"""Changes to a task: name and priority always, the rest while it has not been offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import F
from django.utils.translation import gettext as _

from agents.models import Agent
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid, NotFound
from dialer_platform.storage import write_transaction
from tasks import events
from tasks.choices import BLOCKED, CANCELED, QUEUED, Kind
from tasks.models import Task
from tasks.services.dependencies import (
    BROKEN,
    closes_cycle,
    failure_changes,
    replace_edges,
    settle,
    state_after,
)
from tasks.services.moves import Move, lock_tasks, move_all, record_events
from tasks.services.offering import offer_waiting
from tasks.services.submit import statuses_in, unknown_sentence
from tasks.services.validation import SCRIPT_FIELDS, clean_changes

ALWAYS = frozenset({"name", "priority"})
NOT_STARTED = frozenset({BLOCKED, QUEUED})


def update_task(task: Task, *, by: Principal, fields: Mapping[str, Any]) -> Task:
    """Change what the fields name and return the task as stored.

    Raises Invalid with field errors, NotFound for an unknown host, Conflict when the task
    has been offered or has started and more than its name or priority is to change.
    """
    with write_transaction():
        changes = clean_changes(fields, current=_pair_of(task))
        _check_kind(task, changes)
        # Dependencies and dependent in one statement: locks are taken in the order of ids.
        found = lock_tasks([task.pk, *changes.get("depends_on", [])])[task.pk]
        if changes.keys() - ALWAYS and found.state not in NOT_STARTED:
            raise Conflict(
                _("Only name and priority can be changed once the task was given to a host."),
                code="task_started",
                fields={name: [_("Cannot be changed now.")] for name in changes.keys() - ALWAYS},
            )
        depends_on = changes.pop("depends_on", None)
        _resolve_agent(found, changes)
        _write(found, changes)
        if depends_on is not None:
            _rewire(found, depends_on, by)
        _record(found, by, [*changes, *(["depends_on"] if depends_on is not None else [])])
        if found.state == QUEUED:
            offer_waiting(found.tenant_id)
    return found


def update_task_by_key(task: Task, key: str, value: Any, *, by: Principal) -> Task:
    """Change one field."""
    return update_task(task, by=by, fields={key: value})


def _check_kind(task: Task, changes: Mapping[str, Any]) -> None:
    """Raise Invalid for what a task that moves a file does not have, or cannot lose."""
    if not task.moves_a_file:
        return
    wrong = {
        name: [_("A task that moves a file has no script.")]
        for name in changes.keys() & SCRIPT_FIELDS
    }
    if task.kind != Kind.FILE_UPLOAD and changes.get("agent_id") == "":
        wrong["agent_id"] = [_("Name the agent whose file it is.")]
    if wrong:
        raise Invalid(_("Some fields are not valid."), fields=wrong)


def _pair_of(task: Task) -> dict[str, Any]:
    """Return the stored values that a rule over two fields compares with."""
    return dict(Task.objects.filter(pk=task.pk).values("gpu_count", "gpu_memory").get())


def _resolve_agent(task: Task, changes: dict[str, Any]) -> None:
    """Replace agent_id by the column it is stored in; raises NotFound for an unknown host."""
    if "agent_id" not in changes:
        return
    agent_id = changes.pop("agent_id")
    hosts = Agent.objects.of_tenant(task.tenant_id).hosts().enrolled()
    if agent_id and not hosts.filter(id=agent_id).exists():
        sentence = _("There is no such agent.")
        raise NotFound(sentence, code="agent_not_found", fields={"agent_id": [sentence]})
    changes["wanted_agent_id"] = agent_id or None


def _write(task: Task, changes: Mapping[str, Any]) -> None:
    """Store the plain columns."""
    if not changes:
        return
    Task.objects.filter(pk=task.pk).update(**changes, version=F("version") + 1)
    for name, value in changes.items():
        setattr(task, name, value)
    task.version += 1


def _rewire(task: Task, depends_on: list[int], by: Principal) -> None:
    """Store new dependencies and move the task to the state they call for."""
    statuses = statuses_in(task.tenant_id, depends_on)
    unknown = set(depends_on) - statuses.keys()
    sentence = unknown_sentence(unknown) if unknown else ""
    if task.pk in depends_on:
        sentence = _("A task cannot depend on itself.")
    elif not sentence and closes_cycle(task.pk, depends_on):
        sentence = _("These dependencies form a circle.")
    if sentence:
        raise Invalid(_("Some fields are not valid."), fields={"depends_on": [sentence]})
    replace_edges(task, depends_on)
    to = state_after(statuses.values())
    if to == task.state:
        return
    broken = [other for other in depends_on if statuses[other] in BROKEN]
    changes = failure_changes(broken) if to == CANCELED else {}
    move_all([Move(task, to, "dependencies_changed", by.name, changes)])
    settle([task])


def _record(task: Task, by: Principal, names: list[str]) -> None:
    """Write event and audit, and announce the change."""
    if not names:
        return
    record_events([(task, "changed", by.name, {"fields": sorted(names)})])
    audit.record(by, "task.change", task, {"fields": sorted(names)})
    events.tasks_changed([task.pk], tenant_id=task.tenant_id)
