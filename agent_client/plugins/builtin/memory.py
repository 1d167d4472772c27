"""memory: how much of the host's memory and swap is in use."""

from __future__ import annotations

import psutil

from agent_client.plugins import sdk


class Plugin(sdk.Plugin):
    """Needs no configuration."""

    name = "memory"
    version = "1"
    metrics = {
        "total_bytes": sdk.gauge("bytes", "Memory of the host."),
        "available_bytes": sdk.gauge("bytes", "What programs can still get without swapping."),
        "used_bytes": sdk.gauge("bytes", "Total without available."),
        "used_percent": sdk.gauge("percent", "Share of the memory that is used."),
        "cached_bytes": sdk.gauge("bytes", "Page cache, which the system gives back on demand."),
        "swap_total_bytes": sdk.gauge("bytes", "Swap space of the host."),
        "swap_used_bytes": sdk.gauge("bytes", "Swap space in use."),
        "swap_used_percent": sdk.gauge("percent", "Share of the swap space that is used."),
    }

    def collect(self) -> dict[str, float]:
        """Return the state of this moment."""
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        return {
            "total_bytes": memory.total,
            "available_bytes": memory.available,
            # What the kernel calls used leaves out what cannot be given back.
            "used_bytes": memory.total - memory.available,
            "used_percent": memory.percent,
            "cached_bytes": getattr(memory, "cached", 0),
            "swap_total_bytes": swap.total,
            "swap_used_bytes": swap.used,
            "swap_used_percent": swap.percent,
        }
