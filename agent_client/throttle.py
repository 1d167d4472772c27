"""Keeps the agent's limits in step with the host's load: samples in, lowered limits out.

Owns the one controller of this host. Lowered slots hold back new offers only: what runs
is never touched. The limits stand in `limits.json` of the state directory, because file
transfers run in processes of their own and read their share of the bandwidth there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import msgspec

from agent_client.adaptive import Controller, Limits, Marks, limits_for
from agent_client.catalogue import announce
from agent_client.config import ResourceAdaptiveConfig
from agent_client.protocol.messages import Resources

logger = logging.getLogger(__name__)

LIMITS_FILE = "limits.json"
_RECORD_BYTES = 256


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
        self._transfers = 0
        self.limits = self._limits()

    def count_transfers(self, count: int) -> None:
        """Tell transfers how many share the bandwidth."""
        if count != self._transfers:
            self._transfers = count
            self._write()

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
        limits = limits_for(
            self._controller.factor,
            slots=self._slots,
            bandwidth_mb=self._bandwidth_mb,
            min_bandwidth_mb=self._config.min_bandwidth_mb,
        )
        return replace(limits, cause=self._controller.cause)

    def _write(self) -> None:
        """Write the limits over the former ones; not synced: after a crash they are new.

        In place, because transfers have the file open: another user's cannot open it again.
        Padded to one length, so that no reader meets the rest of a longer record.
        """
        record = {**asdict(self.limits), "transfers": self._transfers}
        data = msgspec.json.encode(record).ljust(_RECORD_BYTES)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, data, 0)
            finally:
                os.close(descriptor)
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
