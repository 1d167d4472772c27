"""Kinds and states of agents, with the tones their badges are drawn in."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AgentType(models.TextChoices):
    """A main agent is a host; a sub-agent is one running task on it."""

    MAIN = "main", _("main")
    SUB = "sub", _("sub")


class AgentStatus(models.TextChoices):
    """Whether the agent's heartbeats arrive."""

    ONLINE = "online", _("online")
    OFFLINE = "offline", _("offline")


TONES = {AgentStatus.ONLINE: "done", AgentStatus.OFFLINE: "quiet"}


class RolloutState(models.TextChoices):
    """Where a roll-out stands; a halted one waits for a person, like a paused one."""

    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    HALTED = "halted", _("halted")
    COMPLETED = "completed", _("completed")
    ROLLED_BACK = "rolled_back", _("rolled back")


OPEN_ROLLOUTS = (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.HALTED)
ROLLOUT_TONES = {
    RolloutState.RUNNING: "running",
    RolloutState.PAUSED: "waiting",
    RolloutState.HALTED: "failed",
    RolloutState.COMPLETED: "done",
    RolloutState.ROLLED_BACK: "canceled",
}
