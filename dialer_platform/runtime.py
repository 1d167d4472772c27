"""Background services of a server process: started once, in order, stopped in reverse.

Apps register what must run beside the requests (inbox writer, flusher, relay,
housekeeping) in their `AppConfig.ready()`; nothing starts before the server does, so
management commands and tests have no stray threads. `start` and `stop` are plain
functions; start is called on the event loop's thread while the loop runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """One background service of the process."""

    name: str
    start: Callable[[], None]
    stop: Callable[[], None]


_services: dict[str, Service] = {}
_started: list[Service] = []
_guard = threading.RLock()
_is_started = False


def register(name: str, start: Callable[[], None], stop: Callable[[], None]) -> None:
    """Add a service to the end of the start order; the same name replaces the earlier one."""
    with _guard:
        _services[name] = Service(name, start, stop)


def ensure_started() -> None:
    """Start all services in the order of registration, once per process."""
    global _is_started
    if _is_started:
        return
    with _guard:
        if _is_started:
            return
        _is_started = True
        for service in _services.values():
            service.start()
            _started.append(service)
            logger.info("service started", extra={"data": {"service": service.name}})


def stop() -> None:
    """Stop what was started, in reverse; one that fails does not keep the others running."""
    global _is_started
    with _guard:
        while _started:
            service = _started.pop()
            try:
                service.stop()
            except Exception:  # The remaining services must still be stopped.
                logger.exception("service did not stop", extra={"data": {"service": service.name}})
        _is_started = False


def names() -> list[str]:
    """Return the registered services in start order."""
    return list(_services)
