"""Submission: turns a request into a task, or many, and offers them in the same transaction.

Promises (R1, R26): what was answered is stored; a batch is stored whole or not at all;
the same Idempotency-Key with the same body gives the same tasks, with another body a
Conflict.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from agents.models import Agent
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid, NotFound, TooLarge
from dialer_platform.storage import write_transaction
from tasks import events
from tasks.choices import CANCELED, QUEUED
from tasks.logs.space import ensure_room
from tasks.models import SubmissionKey, Task, TaskDependency
from tasks.services.dependencies import BROKEN, failure_changes, state_after
from tasks.services.moves import record_events
from tasks.services.offering import offer_waiting
from tasks.services.quotas import ensure_tasks
from tasks.services.transfers import check_files, open_transfers
from tasks.services.validation import clean_new

MAX_BATCH = 1_000
MAX_KEY_CHARACTERS = 200
KEEP_KEYS_SECONDS = 24 * 3600
"""A submission may be repeated with its key for this long."""
BESIDE_THE_ROW = frozenset({"agent_id", "depends_on", "file"})
"""Fields of a request that are no plain columns of the task."""

Cleaned = dict[str, Any]


def create_task(
    *,
    principal: Principal,
    fields: Mapping[str, Any],
    idempotency_key: str = "",
    rerun_of: Task | None = None,
) -> Task:
    """Store one task and offer it; raises Invalid, NotFound, TooLarge, Conflict.

    The object shows the task as it was submitted; read it again to see its offer.
    """
    cleaned = clean_new(fields)

    def create() -> list[Task]:
        return store(principal, [cleaned], prefixes=[""], rerun_of=rerun_of)

    return once(principal, idempotency_key, cleaned, create)[0]


def create_tasks(
    *, principal: Principal, items: Sequence[Mapping[str, Any]], idempotency_key: str = ""
) -> list[Task]:
    """Store at most MAX_BATCH tasks, all or none; field errors are named `<row>.<field>`."""
    cleaned = _clean_batch(items)

    def create() -> list[Task]:
        return store(principal, cleaned, prefixes=[f"{n}." for n in range(len(cleaned))])

    return once(principal, idempotency_key, cleaned, create)


def delete_old_keys() -> int:
    """Delete the keys of submissions nobody repeats any more; housekeeping."""
    until = timezone.now() - timedelta(seconds=KEEP_KEYS_SECONDS)
    with write_transaction():
        return SubmissionKey.objects.filter(created_at__lt=until).delete()[0]


def _clean_batch(items: Any) -> list[Cleaned]:
    """Return the cleaned rows; raises Invalid with the errors of all rows."""
    if not isinstance(items, list | tuple) or not items:
        raise Invalid(_("Send a list of tasks."))
    if len(items) > MAX_BATCH:
        raise TooLarge(_("At most %(limit)d tasks in one request.") % {"limit": MAX_BATCH})
    cleaned: list[Cleaned] = []
    errors: dict[str, list[str]] = {}
    for number, item in enumerate(items):
        if not isinstance(item, Mapping):
            errors[str(number)] = [_("Must be an object.")]
            continue
        try:
            cleaned.append(clean_new(item))
        except Invalid as error:
            errors.update({f"{number}.{name}": lines for name, lines in error.fields.items()})
    if errors:
        raise Invalid(_("Some tasks are not valid; none was stored."), fields=errors)
    return cleaned


def once(
    principal: Principal, key: str, body: object, create: Callable[[], list[Task]]
) -> list[Task]:
    """Run create in a transaction, once per key."""
    ensure_room()
    if len(key) > MAX_KEY_CHARACTERS:
        raise Invalid(_("The Idempotency-Key is too long."))
    try:
        with write_transaction():
            return _known(principal, key, body) or _create_keyed(principal, key, body, create)
    except IntegrityError:
        # Only with several server processes: the other one has stored the key by now.
        with write_transaction():
            known = _known(principal, key, body)
        if known is None:
            raise
        return known


def _known(principal: Principal, key: str, body: object) -> list[Task] | None:
    """Return the tasks an earlier request with this key made; raises Conflict if it differed."""
    if not key:
        return None
    row = SubmissionKey.objects.filter(
        user=principal.user, tenant=principal.tenant, key=key
    ).first()
    if row is None:
        return None
    if row.body_sha256 != _digest(body):
        raise Conflict(
            _("This Idempotency-Key was used with another body."), code="idempotency_conflict"
        )
    tasks = Task.objects.in_bulk(row.task_ids)
    return [tasks[task_id] for task_id in row.task_ids]


def _create_keyed(
    principal: Principal, key: str, body: object, create: Callable[[], list[Task]]
) -> list[Task]:
    """Create the tasks and remember the key with them."""
    tasks = create()
    if key:
        SubmissionKey.objects.create(
            user=principal.user,
            tenant=principal.tenant,
            key=key,
            body_sha256=_digest(body),
            task_ids=[task.pk for task in tasks],
        )
    return tasks


def _digest(body: object) -> str:
    """Return a digest of the cleaned fields, so that spelling does not matter."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def store(
    principal: Principal,
    rows: Sequence[Cleaned],
    *,
    prefixes: Sequence[str],
    rerun_of: Task | None = None,
) -> list[Task]:
    """Insert tasks, edges and events, offer what can start; the caller's transaction."""
    ensure_tasks(principal.tenant_id, len(rows))
    _check_agents(principal, rows, prefixes)
    check_files(principal, rows, prefixes)
    statuses = _dependency_statuses(principal, rows, prefixes)
    tasks = [_new_task(principal, row, statuses, rerun_of) for row in rows]
    Task.objects.bulk_create(tasks)
    TaskDependency.objects.bulk_create(
        [
            TaskDependency(task=task, depends_on_id=other)
            for task, row in zip(tasks, rows, strict=True)
            for other in row["depends_on"]
        ]
    )
    open_transfers(principal, tasks, rows)
    _record(principal, tasks)
    if any(task.state == QUEUED for task in tasks):
        offer_waiting(principal.tenant_id)
    return tasks


def _check_agents(principal: Principal, rows: Sequence[Cleaned], prefixes: Sequence[str]) -> None:
    """Raise NotFound when a named host is unknown in the tenant."""
    wanted = {row["agent_id"] for row in rows} - {""}
    if not wanted:
        return
    known = set(
        Agent.objects.of_tenant(principal.tenant_id)
        .hosts()
        .enrolled()
        .filter(id__in=wanted)
        .values_list("id", flat=True)
    )
    sentence = _("There is no such agent.")
    errors = {
        f"{prefix}agent_id": [sentence]
        for row, prefix in zip(rows, prefixes, strict=True)
        if row["agent_id"] and row["agent_id"] not in known
    }
    if errors:
        raise NotFound(sentence, code="agent_not_found", fields=errors)


def _dependency_statuses(
    principal: Principal, rows: Sequence[Cleaned], prefixes: Sequence[str]
) -> dict[int, str]:
    """Return the status of every named dependency; raises Invalid for unknown ones."""
    ids = {other for row in rows for other in row["depends_on"]}
    statuses = statuses_in(principal.tenant_id, ids)
    errors = {
        f"{prefix}depends_on": [unknown_sentence(set(row["depends_on"]) - statuses.keys())]
        for row, prefix in zip(rows, prefixes, strict=True)
        if set(row["depends_on"]) - statuses.keys()
    }
    if errors:
        raise Invalid(_("Some fields are not valid."), fields=errors)
    return statuses


def statuses_in(tenant_id: str, task_ids: Iterable[int]) -> dict[int, str]:
    """Return the status of those of the tasks that exist in the tenant, by id.

    Locked against their own end, so that a dependent is never stored as blocked by a task
    that completes in the same instant.
    """
    ids = list(task_ids)
    if not ids:
        return {}
    rows = Task.objects.of_tenant(tenant_id).filter(id__in=ids).order_by("id").select_for_update()
    return dict(rows.values_list("id", "status"))


def unknown_sentence(ids: Iterable[int]) -> str:
    """Return the sentence for dependency ids that do not exist in the tenant."""
    names = ", ".join(f"#{number}" for number in sorted(ids)[:10])
    return _("There is no such task: %(ids)s") % {"ids": names}


def _new_task(
    principal: Principal, row: Cleaned, statuses: Mapping[int, str], rerun_of: Task | None
) -> Task:
    """Return the unsaved row in the state that its dependencies call for."""
    plain = {name: row[name] for name in row if name not in BESIDE_THE_ROW}
    depends_on = row["depends_on"]
    status, phase = state_after(statuses[other] for other in depends_on)
    broken = [other for other in depends_on if statuses[other] in BROKEN]
    ended = failure_changes(broken) if broken else {}
    return Task(
        tenant_id=principal.tenant_id,
        created_by=principal.user,
        wanted_agent_id=row["agent_id"] or None,
        rerun_of=rerun_of,
        status=status,
        phase=phase,
        lost_after_seconds=settings.LOST_AFTER_SECONDS,
        **plain,
        **ended,
    )


def _record(principal: Principal, tasks: Sequence[Task]) -> None:
    """Write the first events and the audit, and announce the tasks."""
    record_events((task, "submitted", principal.name, {}) for task in tasks)
    broken = [task for task in tasks if task.state == CANCELED]
    record_events((task, "dependency_failed", "", {}) for task in broken)
    if len(tasks) == 1:
        audit.record(principal, "task.submit", tasks[0])
    else:
        detail = {"count": len(tasks), "first": tasks[0].pk, "last": tasks[-1].pk}
        audit.record(principal, "task.submit_batch", detail=detail)
    events.tasks_changed([task.pk for task in tasks], tenant_id=principal.tenant_id)
