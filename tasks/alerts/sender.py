"""The thread that empties the outbox: beside requests, probes and the periodic jobs.

Sending may take seconds, so it has a thread of its own; several server processes may run
one each, a delivery is claimed before it is sent.
"""

from __future__ import annotations

import logging
import threading

from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from tasks.alerts.services import outbox

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_stopping = threading.Event()
_thread: threading.Thread | None = None


def start() -> None:
    """Start the thread."""
    global _thread
    _stopping.clear()
    _thread = threading.Thread(target=_run, name="alert-sender", daemon=True)
    _thread.start()


def stop() -> None:
    """Let the attempt that is under way end, then stop."""
    _stopping.set()
    if _thread is not None:
        _thread.join()


def _run() -> None:
    """Send what is due, once a second, until asked to stop."""
    while not _stopping.wait(LOOK_SECONDS):
        try:
            outbox.send_due(timezone.now())
        except DatabaseError:
            logger.exception("the alert outbox cannot be read; trying again")
        finally:
            close_old_connections()
