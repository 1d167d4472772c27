"""Watches over a version on trial: without the server's welcome in time it takes it back.

In a thread of its own, because the very loop may be what hangs. A version that ends by
itself before the welcome is taken back by `ended`; one that cannot even come this far, by
the launcher, which counts its starts.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable

from agent_client.catalogue import announce
from agent_client.errors import ExitCode
from agent_client.upgrade.installation import Installation, find_installation, start_current

logger = logging.getLogger(__name__)

WELCOME_SECONDS = 60.0
SECONDS_VARIABLE = "DIALER_AGENT_TRIAL_SECONDS"


class TrialGuard:
    """The trial of the version that runs, if there is one."""

    def __init__(
        self,
        installation: Installation | None,
        *,
        welcome_seconds: float,
        become: Callable[[Installation], None] = start_current,
    ) -> None:
        """Become is called when another version is to run in this process; it does not return."""
        self._installation = installation
        self._become = become
        self._timer = threading.Timer(welcome_seconds, self._late)
        self._timer.daemon = True
        self._seconds = welcome_seconds

    def begin(self) -> None:
        """Finish what an earlier start left undone, then count the time if this is a trial."""
        if self._installation is None:
            return
        if self._installation.settle():
            self._become(self._installation)
        if self._installation.is_on_trial():
            self._timer.start()

    def ended(self, code: int) -> None:
        """Go on as another version when this one has ended for that, or failed its trial."""
        self._timer.cancel()
        if self._installation is None:
            return
        if code == ExitCode.RESTART:
            self._become(self._installation)
        elif code != ExitCode.OK:
            self._take_back(f"It ended with exit code {code} before the server welcomed it.")

    def _late(self) -> None:
        """Take the version back: the time is over. A welcome that came just before wins."""
        self._take_back(f"The server did not welcome it within {self._seconds:.0f} s.")

    def _take_back(self, detail: str) -> None:
        if self._installation is not None and self._installation.take_back(detail):
            announce(logger, "upgrade_taken_back", detail=detail)
            self._become(self._installation)


def guard_of_this_process() -> TrialGuard:
    """Return the guard of the version that runs here."""
    return TrialGuard(
        find_installation(os.environ, sys.prefix),
        welcome_seconds=_seconds(os.environ.get(SECONDS_VARIABLE, "")),
    )


def _seconds(text: str) -> float:
    """Return the owner's patience with a slow host, the usual one when it is no number."""
    try:
        return max(1.0, float(text))
    except ValueError:
        return WELCOME_SECONDS
