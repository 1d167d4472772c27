"""Which version of the agent each host runs and is to run, and staged roll-outs of one."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.choices import ROLLOUT_TONES, RolloutState


class HostRelease(models.Model):
    """What a host says of its own release, and what people want it to run.

    A row beside the host's own: it changes a few times a year, the host's every beat.
    wanted_order counts the wishes, so that a failed one is told apart from its repetition.
    """

    agent = models.OneToOneField(
        "agents.Agent", models.CASCADE, primary_key=True, related_name="release"
    )
    sha256 = models.CharField(_("running"), max_length=64, blank=True)
    running_since = models.DateTimeField(_("running since"), null=True, blank=True)
    can_change = models.BooleanField(_("can be upgraded"), default=False)
    wanted_order = models.PositiveIntegerField(_("order"), default=0)
    wanted_version = models.CharField(_("wanted version"), max_length=32, blank=True)
    wanted_sha256 = models.CharField(max_length=64, blank=True)
    wanted_bytes = models.PositiveBigIntegerField(default=0)
    wanted_at = models.DateTimeField(_("wanted since"), null=True, blank=True)
    failed_order = models.PositiveBigIntegerField(default=0)
    failed_code = models.CharField(max_length=64, blank=True)
    failed_detail = models.CharField(_("failure"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("release of a host")
        verbose_name_plural = _("releases of hosts")

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.wanted_version or self.sha256[:12]}"

    @property
    def has_failed(self) -> bool:
        """Return whether the present wish came to nothing."""
        return bool(self.failed_code) and self.failed_order == self.wanted_order

    @property
    def is_changing(self) -> bool:
        """Return whether the host is on its way to the wanted release."""
        is_there = self.wanted_sha256 in ("", self.sha256)
        return not is_there and not self.has_failed


class Rollout(models.Model):
    """One version for many hosts, stage by stage; housekeeping moves it on (agents.rollouts)."""

    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="rollouts")
    version = models.CharField(_("version"), max_length=32)
    sha256 = models.CharField(max_length=64)
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    stages = models.JSONField(_("stages"), default=list)
    soak_seconds = models.PositiveIntegerField(_("healthy for"), default=60)
    patience_seconds = models.PositiveIntegerField(_("patience"), default=900)
    state = models.CharField(
        _("state"), max_length=12, choices=RolloutState, default=RolloutState.RUNNING
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    stage = models.PositiveIntegerField(_("stage"), default=0)
    stage_began_at = models.DateTimeField()
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.CharField(_("created by"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("roll-out")
        verbose_name_plural = _("roll-outs")
        ordering = ("-id",)
        indexes = [
            # The step of housekeeping looks for the few that run, every two seconds.
            models.Index(fields=("state",), name="rollout_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.version} #{self.pk}"

    @property
    def stage_number(self) -> int:
        """Return the present stage as people count."""
        return self.stage + 1

    @property
    def tone(self) -> str:
        """Return the tone of its badge."""
        return ROLLOUT_TONES[RolloutState(self.state)]

    @property
    def verbs(self) -> list[tuple[str, str]]:
        """Return what may be done with it now, with the words for it."""
        found = []
        if self.state == RolloutState.RUNNING:
            found.append(("pause", gettext("Pause")))
        if self.state in (RolloutState.PAUSED, RolloutState.HALTED):
            found.append(("resume", gettext("Resume")))
        if self.state != RolloutState.ROLLED_BACK:
            found.append(("roll-back", gettext("Roll back")))
        return found


class RolloutHost(models.Model):
    """A host's place in a roll-out, and what it ran before: the way back."""

    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="hosts")
    agent = models.ForeignKey("agents.Agent", models.CASCADE, related_name="rollout_places")
    stage = models.PositiveIntegerField(_("stage"))
    former_version = models.CharField(_("former version"), max_length=32, blank=True)
    former_sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = _("host of a roll-out")
        verbose_name_plural = _("hosts of roll-outs")
        ordering = ("stage", "id")
        constraints = [
            models.UniqueConstraint(fields=("rollout", "agent"), name="host_once_in_a_rollout")
        ]

    def __str__(self) -> str:
        return f"{self.rollout_id}/{self.agent_id}"

    @property
    def stage_number(self) -> int:
        """Return the stage as people count."""
        return self.stage + 1
