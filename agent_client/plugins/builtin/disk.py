"""disk: how full each file system is, and how much is read and written.

A file system that hangs (NFS without its server) would hang the question about it for
ever: each is asked in a thread of its own that may be left behind, one per mount.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import psutil

from agent_client.plugins import sdk
from agent_client.plugins.rates import Rates

MAX_MOUNTS = 40
ANSWER_SECONDS = 3.0
"""For all file systems together."""
_MAX_NAME_CHARACTERS = 90


class Plugin(sdk.Plugin):
    """config: mounts, a list of mount points (all that are on a device)."""

    name = "disk"
    version = "1"
    metrics = {
        "total_bytes": sdk.gauge("bytes", "Size of the file system."),
        "used_bytes": sdk.gauge("bytes", "Space in use."),
        "used_percent": sdk.gauge("percent", "Share in use of what users may fill."),
        "read_bytes_per_second": sdk.gauge("bytes/s", "Read from all disks."),
        "write_bytes_per_second": sdk.gauge("bytes/s", "Written to all disks."),
    }

    def __init__(self) -> None:
        """Take every mount until configured otherwise."""
        self._mounts: list[str] | None = None
        self._rates = Rates()
        self._asked: dict[str, threading.Thread] = {}

    def configure(self, config: dict[str, Any]) -> None:
        """Take the list of mount points."""
        mounts = config.get("mounts") or None
        is_list = isinstance(mounts, list) and all(isinstance(one, str) for one in mounts)
        if mounts is not None and not is_list:
            raise sdk.ConfigRefused("mounts", "must be a list of mount points")
        if mounts is not None and len(mounts) > MAX_MOUNTS:
            raise sdk.ConfigRefused("mounts", f"at most {MAX_MOUNTS} are watched")
        self._mounts = mounts

    def start(self) -> None:
        """Take the first look at the counters."""
        self._traffic()

    def collect(self) -> dict[str, float]:
        """Return the fill of each mount and the rates since the last call."""
        metrics = self._traffic()
        found: dict[str, dict[str, float]] = {}
        # All at once: ten that hang cost as long as one.
        threads = [self._ask(mount, found) for mount in self._watched()]
        deadline = time.monotonic() + ANSWER_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        # A copy: a thread that was given up may still write into it.
        for mount, fill in list(found.items()):
            metrics.update(
                (f"{name}[{mount[:_MAX_NAME_CHARACTERS]}]", v) for name, v in fill.items()
            )
        return metrics

    def _watched(self) -> list[str]:
        """Return the mount points to ask, each device once, those that hang left out."""
        mounts = self._mounts if self._mounts is not None else mounted()
        # Asked again only when its thread has come back.
        self._asked = {m: thread for m, thread in self._asked.items() if thread.is_alive()}
        return [mount for mount in mounts if mount not in self._asked]

    def _ask(self, mount: str, found: dict[str, dict[str, float]]) -> threading.Thread:
        """Ask one file system in a thread."""

        def ask() -> None:
            try:
                usage = psutil.disk_usage(mount)
            except OSError:
                return  # unmounted meanwhile, or not ours to look at
            found[mount] = {
                "total_bytes": usage.total,
                "used_bytes": usage.used,
                "used_percent": usage.percent,
            }

        thread = threading.Thread(target=ask, daemon=True)
        self._asked[mount] = thread
        thread.start()
        return thread

    def _traffic(self) -> dict[str, float]:
        """Return the rates of all disks together, nothing where the system counts none."""
        # None in containers without /proc/diskstats.
        counters = psutil.disk_io_counters()
        if counters is None:
            return {}
        grown = {
            "read_bytes_per_second": counters.read_bytes,
            "write_bytes_per_second": counters.write_bytes,
        }
        return self._rates.between(grown, time.monotonic())


def mounted() -> list[str]:
    """Return the mount points that are on a device, each device once, bounded."""
    by_device: dict[str, str] = {}
    for part in psutil.disk_partitions(all=False):
        # Bind mounts of containers show the same device many times.
        by_device.setdefault(part.device, part.mountpoint)
    return list(by_device.values())[:MAX_MOUNTS] or ["/"]
