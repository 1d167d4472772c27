"""Tables of plug-ins: what is wanted on each host, packages, and what hosts report."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from agents.plugins.choices import DEFAULT_INTERVAL_SECONDS, Condition


class PluginPackage(models.Model):
    """A signed package; its file is `<data>/plugins/<sha256>.tar.gz`.

    The server keeps the signature and has no private key: agents decide whom they trust.
    """

    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="plugin_packages")
    name = models.CharField(_("name"), max_length=40)
    version = models.CharField(_("version"), max_length=40)
    sha256 = models.CharField(_("digest"), max_length=64)
    signature = models.CharField(_("signature"), max_length=120)
    size_bytes = models.PositiveBigIntegerField(_("size"))
    created_at = models.DateTimeField(_("uploaded"), auto_now_add=True)
    uploaded_by = models.CharField(_("uploaded by"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("plug-in package")
        verbose_name_plural = _("plug-in packages")
        ordering = ("name", "-created_at", "-id")
        constraints = [
            # A version is one content for ever: what was signed is what is installed.
            models.UniqueConstraint(
                fields=("tenant", "name", "version"), name="one_package_per_version"
            ),
            models.UniqueConstraint(fields=("tenant", "sha256"), name="one_package_per_digest"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class AgentPlugin(models.Model):
    """One plug-in on one host as people want it; without a package it is built in."""

    tenant = models.ForeignKey("accounts.Tenant", models.PROTECT, related_name="+")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="plugins")
    name = models.CharField(_("name"), max_length=40)
    enabled = models.BooleanField(_("active"), default=True)
    interval_seconds = models.FloatField(_("interval"), default=DEFAULT_INTERVAL_SECONDS)
    config = models.JSONField(_("configuration"), default=dict, blank=True)
    package = models.ForeignKey(
        PluginPackage, models.PROTECT, null=True, blank=True, related_name="uses"
    )
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    updated_by = models.CharField(_("changed by"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("plug-in of an agent")
        verbose_name_plural = _("plug-ins of agents")
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=("agent", "name"), name="one_plugin_per_name")
        ]

    def __str__(self) -> str:
        return f"{self.name} @ {self.agent_id}"


class PluginDuty(models.Model):
    """The number and the active names of one host's set, written with every change of it.

    So the number in beats is read for a whole fleet with one query, without any content.
    """

    agent = models.OneToOneField(Agent, models.CASCADE, primary_key=True, related_name="+")
    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="+")
    number = models.BigIntegerField()
    names = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.agent_id} {self.number}"


class PluginReport(models.Model):
    """How a plug-in is, as its agent said last; flushed with the other live figures.

    metrics says what it measures: metric without [item] -> unit, help, kind; "" left out.
    """

    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="+")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="plugin_reports")
    name = models.CharField(_("name"), max_length=40)
    condition = models.CharField(_("condition"), max_length=8, choices=Condition)
    version = models.CharField(_("version"), max_length=40, blank=True)
    code = models.CharField(_("code"), max_length=40, blank=True)
    detail = models.CharField(_("detail"), max_length=500, blank=True)
    restarts = models.PositiveBigIntegerField(_("restarts"), default=0)
    since = models.DateTimeField(_("since"), null=True, blank=True)
    dropped_samples = models.PositiveBigIntegerField(_("dropped samples"), default=0)
    reported_at = models.DateTimeField(_("reported"))
    metrics = models.JSONField(_("metrics"), default=dict, blank=True)

    class Meta:
        verbose_name = _("state of a plug-in")
        verbose_name_plural = _("states of plug-ins")
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=("agent", "name"), name="one_report_per_plugin")
        ]

    def __str__(self) -> str:
        return f"{self.name} @ {self.agent_id}: {self.condition}"
