"""Runs that wait for a thread: bounded, in order of arrival, and fair about what is dropped.

Slow probes have a lane of their own with half of the room, so that targets that hang
never crowd out healthy ones. When a lane is full, first goes what is too late anyway,
then the run whose probe was served best lately: drops rotate instead of starving one
probe. Pure; not safe for several threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from agent_client.probing.plan import Probe, Reason, late_limit


@dataclass(slots=True, eq=False)
class Waiting:
    """One run on its way to a thread; request_id marks a run that a person asked for."""

    probe: Probe
    due: float
    request_id: str = ""

    @property
    def latest(self) -> float:
        """Return the last moment at which it may start; runs on request are never late."""
        if self.request_id:
            return float("inf")
        return self.due + late_limit(self.probe.task.interval)


Dropped = tuple[Waiting, Reason]


class ReadyQueue:
    """What waits, in a fast and a slow lane."""

    def __init__(self, limit: int) -> None:
        """Hold at most limit runs, of them at most half (at least one) slow."""
        self._limit = max(1, limit)
        self._slow_limit = max(1, limit // 2)
        self._fast: deque[Waiting] = deque()
        self._slow: deque[Waiting] = deque()

    def __len__(self) -> int:
        """Return how many runs wait."""
        return len(self._fast) + len(self._slow)

    def __iter__(self) -> Iterator[Waiting]:
        """Yield all that wait, in no order."""
        yield from self._fast
        yield from self._slow

    def put(self, run: Waiting, now: float) -> list[Dropped]:
        """Add a run and return what had to go for it, which may be the run itself."""
        lane = self._slow if run.probe.is_slow else self._fast
        if run.request_id:
            lane.appendleft(run)  # a person waits for it; such runs are few and bounded
            return []
        lane.append(run)
        dropped = self._late(lane, now) if self._is_over(lane) else []
        while self._is_over(lane):
            # The newest among equals goes: those before it have waited already.
            victim = max(reversed(lane), key=_served)
            lane.remove(victim)
            dropped.append((victim, "queue_full"))
        return dropped

    def take(self, now: float, *, may_be_slow: bool) -> tuple[Waiting | None, list[Dropped]]:
        """Return the run that is due first and may start, and those that are too late."""
        dropped = self._late(self._fast, now) + self._late(self._slow, now)
        lanes = [lane for lane in (self._fast, self._slow if may_be_slow else None) if lane]
        if not lanes:
            return None, dropped
        lane = min(lanes, key=lambda lane: (not lane[0].request_id, lane[0].due))
        # Soon some will be too late: by order of arrival it would be the same ones each time.
        run = min(lane, key=_served) if _is_pressing(lane[0], now) else lane[0]
        lane.remove(run)
        return run, dropped

    def discard(self, probe: Probe) -> Waiting | None:
        """Take a probe's queued run out, None when it has none."""
        for lane in (self._fast, self._slow):
            for run in lane:
                if run.probe is probe and not run.request_id:
                    lane.remove(run)
                    return run
        return None

    def clear(self) -> list[Waiting]:
        """Take everything out."""
        runs = [*self]
        self._fast.clear()
        self._slow.clear()
        return runs

    def _is_over(self, lane: deque[Waiting]) -> bool:
        return len(self) > self._limit or (lane is self._slow and len(lane) > self._slow_limit)

    def _late(self, lane: deque[Waiting], now: float) -> list[Dropped]:
        late = [run for run in lane if run.latest < now]
        for run in late:
            lane.remove(run)
        return [(run, "late") for run in late]


def _served(run: Waiting) -> float:
    """Return how well a run's probe was served lately; requests of people count as not at all."""
    return -1.0 if run.request_id else run.probe.coverage


def _is_pressing(run: Waiting, now: float) -> bool:
    """Return whether half of the time is over in which a run may start."""
    return not run.request_id and now - run.due > (run.latest - run.due) / 2
