"""Keeps the agent's limits in step with the host's load: samples in, lowered limits out.

Owns the one controller of this host. Lowered slots hold back new offers only: what runs
is never touched. The limits stand in `limits.json` of the state directory, because file
transfers run in processes of their own and read their share of the bandwidth there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent_client.adaptive import Controller, Limits, Marks, limits_for
from agent_client.catalogue import announce
from agent_client.config import ResourceAdaptiveConfig
from agent_client.protocol.messages import Resources

logger = logging.getLogger(__name__)

LIMITS_FILE = "limits.json"


class Throttle:
    """The limits of this moment, and the loop that moves them."""

    def __init__(
        self,
        config: ResourceAdaptiveConfig,
        *,
        slots: int,
        bandwidth_mb: float,
        cpu_cores: int,
        state_dir: Path,
        sample: Callable[[], Resources | None],
        on_change: Callable[[Limits], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """bandwidth_mb is MB/s, 0 for none; sample is asked every sample interval."""
        self._config = config
        self._slots = slots
        self._bandwidth_mb = bandwidth_mb
        self._cpu_cores = cpu_cores
        self._controller = Controller(marks_of(config), cpu_cores=cpu_cores)
        self._path = state_dir / LIMITS_FILE
        self._sample = sample
        self._on_change = on_change
        self._clock = clock
        self.limits = self._limits()

    def reconfigure(
        self, config: ResourceAdaptiveConfig, *, slots: int, bandwidth_mb: float
    ) -> None:
        """Take other limits; the controller begins anew, without any lowering."""
        self._config, self._slots, self._bandwidth_mb = config, slots, bandwidth_mb
        self._controller = Controller(marks_of(config), cpu_cores=self._cpu_cores)
        self.limits = self._limits()
        self._write()
        self._on_change(self.limits)

    async def run(self) -> None:
        """Write the limits down, then follow the load until canceled."""
        self._write()
        while True:
            await asyncio.sleep(self._config.sample_interval_sec)
            if self._config.enabled:
                self.observe()

    def observe(self) -> None:
        """Take one sample; say so when the limits move."""
        found = self._sample()
        if found is None or not self._controller.observe(
            now=self._clock(), cpu_percent=found.cpu_usage, load_1m=found.load_1m
        ):
            return
        self.limits = self._limits()
        announce(
            logger,
            "limits_adapted",
            factor=self.limits.factor,
            slots=self.limits.slots,
            cpu=round(found.cpu_usage),
            load=round(found.load_1m, 1),
        )
        self._write()
        self._on_change(self.limits)

    def _limits(self) -> Limits:
        """Return the limits at the controller's factor."""
        return limits_for(
            self._controller.factor,
            slots=self._slots,
            bandwidth_mb=self._bandwidth_mb,
            min_bandwidth_mb=self._config.min_bandwidth_mb,
        )

    def _write(self) -> None:
        """Replace the file as a whole; not synced: after a crash it is written anew."""
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_bytes(msgspec.json.encode(self.limits))
            temporary.replace(self._path)
        except OSError as error:
            # A full disk must not stop the agent; transfers go on with the former limit.
            logger.warning("%s could not be written: %s", self._path, error)


def marks_of(config: ResourceAdaptiveConfig) -> Marks:
    """Return the controller's marks as the configuration sets them."""
    return Marks(
        cpu_high=config.cpu_high,
        cpu_low=config.cpu_low,
        load_high_factor=config.load_high_factor,
        load_low_factor=config.load_low_factor,
        min_factor=config.min_factor,
        step=config.step,
        cooldown_seconds=config.cooldown_sec,
    )
