"""network: what each interface sends and receives."""

from __future__ import annotations

import time
from typing import Any

import psutil

from agent_client.plugins import sdk
from agent_client.plugins.rates import Rates

MAX_INTERFACES = 40
_COUNTERS = {
    "sent_bytes_per_second": ("bytes_sent",),
    "received_bytes_per_second": ("bytes_recv",),
    "errors_per_second": ("errin", "errout"),
    "drops_per_second": ("dropin", "dropout"),
}


class Plugin(sdk.Plugin):
    """config: interfaces, a list of names (all but the loopback)."""

    name = "network"
    version = "1"
    metrics = {
        "sent_bytes_per_second": sdk.gauge("bytes/s", "Sent by the interface."),
        "received_bytes_per_second": sdk.gauge("bytes/s", "Received by the interface."),
        "errors_per_second": sdk.gauge("1/s", "Packets with errors, both directions."),
        "drops_per_second": sdk.gauge("1/s", "Packets dropped, both directions."),
    }

    def __init__(self) -> None:
        """Take every interface until configured otherwise."""
        self._interfaces: list[str] | None = None
        self._rates = Rates()

    def configure(self, config: dict[str, Any]) -> None:
        """Take the list of interfaces."""
        names = config.get("interfaces") or None
        is_list = isinstance(names, list) and all(isinstance(one, str) for one in names)
        if names is not None and not is_list:
            raise sdk.ConfigRefused("interfaces", "must be a list of names of interfaces")
        if names is not None and len(names) > MAX_INTERFACES:
            raise sdk.ConfigRefused("interfaces", f"at most {MAX_INTERFACES} are watched")
        self._interfaces = names

    def start(self) -> None:
        """Take the first look at the counters."""
        self.collect()

    def collect(self) -> dict[str, float]:
        """Return the rates since the last call."""
        counters: dict[str, float] = {}
        # Sorted: with too many interfaces the same ones are told each time.
        for name, found in sorted(psutil.net_io_counters(pernic=True).items()):
            if not self._is_watched(name) or len(counters) >= MAX_INTERFACES * len(_COUNTERS):
                continue
            for metric, fields in _COUNTERS.items():
                counters[f"{metric}[{name}]"] = sum(getattr(found, field) for field in fields)
        return self._rates.between(counters, time.monotonic())

    def _is_watched(self, name: str) -> bool:
        # What a host says to itself would double its traffic.
        if self._interfaces is None:
            return name != "lo"
        return name in self._interfaces
