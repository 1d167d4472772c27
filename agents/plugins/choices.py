"""Words and bounds of plug-ins that pages, services and endpoints share."""

from __future__ import annotations

import re

from django.db import models
from django.utils.translation import gettext_lazy as _

BUILT_IN = ("cpu", "memory", "disk", "network", "log_tail")
"""What comes with every agent; any other name needs a package."""
OFFERED = ("cpu", "memory", "disk", "network")
"""Those that work without a configuration: one button activates them."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MAX_PLUGINS_PER_AGENT = 50
DEFAULT_INTERVAL_SECONDS = 10.0
MIN_INTERVAL_SECONDS = 1.0
MAX_INTERVAL_SECONDS = 86_400.0
MAX_CONFIG_BYTES = 32 * 1024


class Condition(models.TextChoices):
    """How a plug-in is, in its agent's words."""

    STARTING = "starting", _("starting")
    RUNNING = "running", _("running")
    FAILED = "failed", _("failed")
    STOPPED = "stopped", _("stopped")
    REFUSED = "refused", _("refused")


TONES = {
    Condition.STARTING: "waiting",
    Condition.RUNNING: "done",
    Condition.FAILED: "failed",
    Condition.STOPPED: "quiet",
    Condition.REFUSED: "failed",
}
