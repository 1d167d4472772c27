"""States and words of probes: what a run came to, what state a target is in, who decides."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    """What is believed of a target, at one location or by all of them together."""

    PENDING = "pending", _("pending")
    UP = "up", _("up")
    DEGRADED = "degraded", _("degraded")
    SUSPECT = "suspect", _("suspect")
    DOWN = "down", _("down")
    UNKNOWN = "unknown", _("unknown")
    PAUSED = "paused", _("paused")
    MAINTENANCE = "maintenance", _("maintenance")


class Policy(models.TextChoices):
    """How many locations must see a target down before it counts as down."""

    ANY = "any", _("any location")
    MAJORITY = "majority", _("most locations")
    ALL = "all", _("all locations")


class Outcome(models.TextChoices):
    """What one run came to; the wire's own words."""

    UP = "up", _("up")
    DEGRADED = "degraded", _("degraded")
    DOWN = "down", _("down")
    ERROR = "error", _("error")
    MISSED = "missed", _("missed")


class Recurrence(models.TextChoices):
    """When a maintenance window comes again."""

    ONCE = "once", _("once")
    DAILY = "daily", _("daily")
    WEEKLY = "weekly", _("weekly")


OUTCOME_CODES: dict[str, int] = {
    Outcome.UP: 0,
    Outcome.DEGRADED: 1,
    Outcome.DOWN: 2,
    Outcome.ERROR: 3,
    Outcome.MISSED: 4,
}
"""How an outcome is stored; a number takes a tenth of the word's space. Never renumber."""
OUTCOME_NAMES = {code: str(name) for name, code in OUTCOME_CODES.items()}

TONES = {
    State.PENDING: "waiting",
    State.UP: "completed",
    State.DEGRADED: "blocked",
    State.SUSPECT: "blocked",
    State.DOWN: "failed",
    State.UNKNOWN: "canceled",
    State.PAUSED: "canceled",
    State.MAINTENANCE: "running",
}
"""Badge classes: colour and shape."""

PUSH_KIND = "push"
"""The one kind that no agent runs: the target reports, and its silence is the alarm."""
