"""What a plug-in leaves in the agent's log: so much a minute, so that it cannot fill the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from agent_client.plugins.wire import Log, cut

logger = logging.getLogger(__name__)

MAX_LINES_PER_MINUTE = 60
_LEVELS = {"debug": logging.DEBUG, "warning": logging.WARNING, "error": logging.ERROR}


class PluginLog:
    """The lines of one plug-in."""

    def __init__(self, plugin: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with an empty minute."""
        self._plugin = plugin
        self._clock = clock
        self._minute, self._lines = 0.0, 0
        self.dropped_lines = 0

    def put(self, message: Log) -> None:
        """Pass on what the plug-in says, as long as it is not too much."""
        minute = self._clock() // 60
        if minute != self._minute:
            if (left_out := self._lines - MAX_LINES_PER_MINUTE) > 0:
                logger.warning("plug-in %s: %d lines left out", self._plugin, left_out)
            self._minute, self._lines = minute, 0
        self._lines += 1
        if self._lines > MAX_LINES_PER_MINUTE:
            self.dropped_lines += 1
            return
        level = _LEVELS.get(message.level, logging.INFO)
        logger.log(level, "plug-in %s: %s", self._plugin, cut(message.text))
