"""How far the agent lowers its limits while the host is loaded: a pure controller.

CPU and load go in, a factor between `min_factor` and 1 comes out. Above the high mark of
either it goes down one step, below the low marks of both it goes up one; between them it
stays, and after a step it stays for the cool-down: so it moves at most one step per
cool-down, whatever the load does. Counts whole steps, so that up and down again is exactly
where it began. No clock, no file: the moment of each sample is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

FULL = 1.0


@dataclass(frozen=True, slots=True)
class Marks:
    """When to step: CPU in percent of the host, load in multiples of its cores."""

    cpu_high: float = 75.0
    cpu_low: float = 55.0
    load_high_factor: float = 1.2
    load_low_factor: float = 0.8
    min_factor: float = 0.3
    step: float = 0.1
    cooldown_seconds: float = 15.0


class Controller:
    """Follows the load of one host."""

    def __init__(self, marks: Marks, *, cpu_cores: int) -> None:
        """Begin without a limit; cpu_cores is what the load is compared with."""
        self._marks = marks
        self._cpu_cores = max(cpu_cores, 1)
        self._steps_down = 0
        self._cause = ""
        self._stepped_at = float("-inf")

    @property
    def factor(self) -> float:
        """Return the share of its limits that the agent uses now."""
        lowered = FULL - self._steps_down * self._marks.step
        return round(max(lowered, self._marks.min_factor), 6)

    @property
    def cause(self) -> str:
        """Return what lowered the factor last: cpu, load or both; "" while nothing is lowered."""
        return self._cause if self._steps_down else ""

    def observe(self, *, now: float, cpu_percent: float, load_1m: float) -> bool:
        """Take one sample at a moment (monotonic seconds); return whether the factor changed."""
        if now - self._stepped_at < self._marks.cooldown_seconds:
            return False
        before = self.factor
        if self._is_high(cpu_percent, load_1m) and before > self._marks.min_factor:
            self._steps_down += 1
            self._cause = self._cause_of(cpu_percent, load_1m)
        elif self._is_low(cpu_percent, load_1m) and self._steps_down:
            self._steps_down -= 1
        changed = self.factor != before
        if changed:
            self._stepped_at = now
        return changed

    def _is_high(self, cpu_percent: float, load_1m: float) -> bool:
        """Return whether the host has too much to do: either figure is enough."""
        return bool(self._cause_of(cpu_percent, load_1m))

    def _cause_of(self, cpu_percent: float, load_1m: float) -> str:
        """Return which figures are above their high marks, "" for none."""
        is_cpu = cpu_percent >= self._marks.cpu_high
        if load_1m < self._marks.load_high_factor * self._cpu_cores:
            return "cpu" if is_cpu else ""
        return "both" if is_cpu else "load"

    def _is_low(self, cpu_percent: float, load_1m: float) -> bool:
        """Return whether there is room again: both figures must say so."""
        low_load = self._marks.load_low_factor * self._cpu_cores
        return cpu_percent <= self._marks.cpu_low and load_1m <= low_load


@dataclass(frozen=True, slots=True)
class Limits:
    """What the agent allows itself now; bandwidth in MB/s, None for no limit.

    cause says why it is less than usual: cpu, load or both.
    """

    slots: int
    bandwidth_mb: float | None
    factor: float = FULL
    cause: str = ""


def limits_for(
    factor: float, *, slots: int, bandwidth_mb: float, min_bandwidth_mb: float
) -> Limits:
    """Return the limits at a factor; of some slots one always stays, and the least bandwidth.

    slots 0 is the word of the host's owner and stays 0, whatever the load is. bandwidth_mb 0
    means that none was configured: then there is nothing to lower.
    """
    lowered = max(bandwidth_mb * factor, min(min_bandwidth_mb, bandwidth_mb))
    # Rounded to the nearest: 0.9 of 5 slots is 5 (rounded down, the first step would cost one).
    allowed = max(1, int(slots * factor + 0.5)) if slots > 0 else 0
    return Limits(allowed, lowered if bandwidth_mb else None, factor)
