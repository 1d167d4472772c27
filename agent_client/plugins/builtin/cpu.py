"""cpu: how busy the processors are, and what the host waits for."""

from __future__ import annotations

import os
from typing import Any

import psutil

from agent_client.plugins import sdk

MAX_CORES = 64
_SHARES = ("user", "system", "iowait", "steal")


class Plugin(sdk.Plugin):
    """Shares of the time since the last collection; config: per_core (false)."""

    name = "cpu"
    version = "1"
    metrics = {
        "usage_percent": sdk.gauge("percent", "Time not idle, of all cores together."),
        **{f"{share}_percent": sdk.gauge("percent", f"Time in {share}.") for share in _SHARES},
        **{
            f"load_{minutes}m": sdk.gauge("", f"Mean run queue of {minutes} minutes.")
            for minutes in (1, 5, 15)
        },
        "core_usage_percent": sdk.gauge("percent", "The same of one core, when asked for."),
    }

    def __init__(self) -> None:
        """Ask once: psutil's first answers of shares are 0 by definition."""
        self._per_core = False
        psutil.cpu_percent(None)
        psutil.cpu_times_percent(None)

    def configure(self, config: dict[str, Any]) -> None:
        """Take whether each core is told, too."""
        per_core = config.get("per_core", False)
        if not isinstance(per_core, bool):
            raise sdk.ConfigRefused("per_core", "must be true or false")
        self._per_core = per_core
        # psutil remembers the last look for each way of asking.
        if per_core:
            psutil.cpu_percent(None, percpu=True)

    def collect(self) -> dict[str, float]:
        """Return the shares since the last call."""
        shares = psutil.cpu_times_percent(None)
        metrics = {"usage_percent": psutil.cpu_percent(None)}
        # Not every system knows every share.
        metrics.update(
            (f"{share}_percent", getattr(shares, share))
            for share in _SHARES
            if hasattr(shares, share)
        )
        # The mean of the control group does not exist; this is the host's.
        loads = os.getloadavg()
        metrics.update((f"load_{m}m", load) for m, load in zip((1, 5, 15), loads, strict=True))
        if self._per_core:
            cores = psutil.cpu_percent(None, percpu=True)[:MAX_CORES]
            metrics.update((f"core_usage_percent[{n}]", use) for n, use in enumerate(cores))
        return metrics
