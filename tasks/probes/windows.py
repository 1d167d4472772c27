"""When planned work covers a probe: pure, and how the windows are read.

A recurring window repeats its first span every 24 hours, or every week on its weekdays,
counted in UTC from its first beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tasks.probes.choices import Recurrence
from tasks.probes.models import MaintenanceWindow, Probe

DAY_SECONDS = 86_400
EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span in seconds since the epoch and when it comes again."""

    starts: float
    ends: float
    recurrence: str = Recurrence.ONCE
    weekdays: frozenset[int] = frozenset()
    until: float | None = None

    def covers(self, moment: float) -> bool:
        """Return whether the moment lies in the window or in one of its repetitions."""
        if moment < self.starts or (self.until is not None and moment >= self.until):
            return False
        if self.recurrence == Recurrence.ONCE:
            return moment < self.ends
        length = self.ends - self.starts
        # A span of more than a day reaches into the following ones: look back as far.
        latest = int((moment - self.starts) // DAY_SECONDS)
        earliest = max(latest - int(length // DAY_SECONDS), 0)
        return any(
            moment < self.starts + day * DAY_SECONDS + length and self._begins_on(day)
            for day in range(latest, earliest - 1, -1)
        )

    def _begins_on(self, day: int) -> bool:
        """Return whether a repetition begins so many days after the first."""
        if self.recurrence == Recurrence.DAILY:
            return True
        first = (int(self.starts // DAY_SECONDS) + EPOCH_WEEKDAY) % 7
        return (first + day) % 7 in (self.weekdays or {first})


@dataclass(frozen=True, slots=True)
class Cover:
    """Which windows concern which probes."""

    by_probe: dict[int, tuple[Window, ...]] = field(default_factory=dict)

    def covers(self, probe_id: int, moment: float) -> bool:
        """Return whether planned work covers the probe at a moment in epoch seconds."""
        return any(window.covers(moment) for window in self.by_probe.get(probe_id, ()))


def read_cover(tenant_id: str = "") -> Cover:
    """Return all windows by probe, of one tenant if it is named."""
    rows = MaintenanceWindow.objects.prefetch_related("probes")
    rows = rows.filter(tenant_id=tenant_id) if tenant_id else rows
    found: dict[int, list[Window]] = {}
    tagged: dict[str, list[tuple[int, list[str]]]] = {}
    for row in rows:
        if row.tenant_id not in tagged:
            tagged[row.tenant_id] = list(
                Probe.objects.of_tenant(row.tenant_id).values_list("id", "tags")
            )
        for probe_id in _concerned(row, tagged[row.tenant_id]):
            found.setdefault(probe_id, []).append(window_of(row))
    return Cover({probe_id: tuple(windows) for probe_id, windows in found.items()})


def window_of(row: MaintenanceWindow) -> Window:
    """Return a stored window as the pure one."""
    return Window(
        row.starts_at.timestamp(),
        row.ends_at.timestamp(),
        row.recurrence,
        frozenset(row.weekdays),
        row.until.timestamp() if row.until else None,
    )


def _concerned(row: MaintenanceWindow, probes: Sequence[tuple[int, list[str]]]) -> Iterable[int]:
    """Return the probes a window covers: those named, those with one of its tags, else all."""
    named = {probe.pk for probe in row.probes.all()}
    if not named and not row.tags:
        return [probe_id for probe_id, _ in probes]
    wanted = set(row.tags)
    return named | {probe_id for probe_id, words in probes if wanted & set(words or ())}
