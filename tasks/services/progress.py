"""Writes progress bars to the rows: all that is new in one statement, once a second."""

from __future__ import annotations

import json
import logging
import threading
from collections import defaultdict

from django.db import connection, connections

from dialer_platform.storage import write_transaction
from tasks import events
from tasks.choices import Status
from tasks.logs import bars
from tasks.models import Task

log = logging.getLogger("dialer.tasks.progress")

FLUSH_SECONDS = 1.0

_stop = threading.Event()
_thread: threading.Thread | None = None


def flush() -> int:
    """Write the newest bars of running tasks; returns how many there were."""
    drawn = bars.take()
    if not drawn:
        return 0
    # The table's name comes from the model, every value is a parameter.
    statement = (
        f"UPDATE {connection.ops.quote_name(Task._meta.db_table)} "  # noqa: S608
        "SET progress = %s WHERE id = %s AND status = %s"
    )
    rows = [
        (json.dumps(one.bar.as_json()), task_id, Status.RUNNING.value)
        for task_id, one in drawn.items()
    ]
    by_tenant: dict[str, list[int]] = defaultdict(list)
    for task_id, one in drawn.items():
        by_tenant[one.tenant_id].append(task_id)
    with write_transaction():
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows)
        for tenant_id, task_ids in by_tenant.items():
            events.tasks_changed(task_ids, tenant_id=tenant_id)
    return len(rows)


def start() -> None:
    """Start the thread that flushes."""
    global _thread
    _stop.clear()
    _thread = threading.Thread(target=_work, name="task-progress", daemon=True)
    _thread.start()


def stop() -> None:
    """End the thread after a last flush."""
    _stop.set()
    if _thread is not None:
        _thread.join(5.0)


def _work() -> None:
    """Flush once a second until stopped."""
    try:
        while not _stop.wait(FLUSH_SECONDS):
            _flush_safely()
        _flush_safely()
    finally:
        connections.close_all()


def _flush_safely() -> None:
    """Flush; what cannot be written now is drawn again soon."""
    try:
        flush()
    except Exception:
        log.exception("progress bars could not be written")
