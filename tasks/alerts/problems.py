"""What is wrong right now: the sources of problems, by registration.

Alerts are decided from the present state and not from events: nothing is lost when a
process dies between a change and its notice, and nothing of this lies on the path of who
made the change. A source reads the database and returns the problems of one tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

MAX_PROBLEMS = 2_000
"""Of one source and tenant; what is beyond waits until others have ended."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, in the language that is active when the source is asked.

    `key` names the object and what is wrong with it, for ever. A momentary problem (a task
    that failed) has no end and is told once. `days_left` belongs to certificates. A
    suppressed one (maintenance, its parent is down) is not told, nor does it recover.
    """

    event: str
    key: str
    name: str
    title: str
    since: datetime
    text: str = ""
    url: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    days_left: float = 0.0
    is_momentary: bool = False
    is_suppressed: bool = False


Source = Callable[[str, datetime], list[Problem]]
"""Called with the tenant's id and the present moment."""
_sources: dict[str, Source] = {}


def register(name: str, source: Source) -> None:
    """Add a source; the same name replaces the earlier one."""
    _sources[name] = source


def problems_of(tenant_id: str, now: datetime) -> list[Problem]:
    """Return everything that is wrong in a tenant."""
    return [one for source in _sources.values() for one in source(tenant_id, now)[:MAX_PROBLEMS]]
