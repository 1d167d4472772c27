"""`manage.py housekeeping`: the periodic work as a process of its own."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from dialer_platform import housekeeping
from dialer_platform.housekeeping.loop import HousekeepingLoop


class Command(BaseCommand):
    """Runs the periodic jobs until stopped, unless another process holds the lease."""

    help = "Do the periodic work; of several processes one works, the others stand by."

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until SIGINT or SIGTERM."""
        loop = HousekeepingLoop()

        def on_signal(number: int, frame: FrameType | None) -> None:
            loop.request_stop()

        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, on_signal)
        names = ", ".join(job.name for job in housekeeping.jobs())
        self.stdout.write(f"Housekeeping as {loop.lease.holder}: {names}")
        loop.run()
