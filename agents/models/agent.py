"""Hosts (main agents) and the tasks running on them (sub-agents), in one table."""

from __future__ import annotations

import secrets

from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.choices import AgentStatus, AgentType
from agents.querysets import AgentQuerySet


def new_agent_id() -> str:
    """Return a fresh opaque id, `a-` and ten hex digits."""
    return f"a-{secrets.token_hex(5)}"


class Agent(models.Model):
    """A main agent or a sub-agent.

    Live figures (usage, gpu_info, thread_pool, last heartbeat) are a snapshot: the truth
    is in memory and flushed every two seconds. A sub-agent's row is written when its task
    starts and ends; its id is `<main id>/<task id>` and task_id is a plain integer, so
    that this app does not depend on the queue.
    """

    id = models.CharField(_("id"), primary_key=True, max_length=64, default=new_agent_id)
    tenant = models.ForeignKey("accounts.Tenant", models.PROTECT, related_name="agents")
    name = models.CharField(_("name"), max_length=200)
    type = models.CharField(_("type"), max_length=8, choices=AgentType, default=AgentType.MAIN)
    status = models.CharField(
        _("status"), max_length=8, choices=AgentStatus, default=AgentStatus.OFFLINE
    )
    created_time = models.DateTimeField(_("created"), auto_now_add=True)
    last_heartbeat_time = models.DateTimeField(_("last heartbeat"), null=True, blank=True)
    online_since = models.DateTimeField(_("online since"), null=True, blank=True)
    main_agent = models.ForeignKey(
        "self", models.CASCADE, null=True, blank=True, related_name="sub_agents"
    )
    task_id = models.BigIntegerField(_("task"), null=True, blank=True)

    # What the host has, as the agent says it.
    cpu_cores = models.PositiveIntegerField(_("CPU cores"), default=0)
    memory_bytes = models.BigIntegerField(_("memory"), default=0)
    slots = models.PositiveIntegerField(_("tasks at once"), default=0)
    script_types = models.JSONField(_("script types"), default=list, blank=True)
    # What matches: the two below together, where what people gave wins.
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    host_labels = models.JSONField(_("labels of its own settings"), default=dict, blank=True)
    given_labels = models.JSONField(_("labels given here"), default=dict, blank=True)
    system = models.JSONField(_("system"), default=dict, blank=True)
    version = models.CharField(_("agent version"), max_length=32, blank=True)

    # Snapshot of the live figures.
    cpu_usage = models.FloatField(_("CPU usage"), default=0)
    memory_usage = models.FloatField(_("memory usage"), default=0)
    resources = models.JSONField(_("resources"), default=dict, blank=True)
    gpu_info = models.JSONField(_("GPUs"), default=list, blank=True)
    thread_pool = models.JSONField(_("thread pool"), default=dict, blank=True)
    monitor_file = models.CharField(_("history of samples"), max_length=255, blank=True)

    # Credential and connection.
    instance_id = models.CharField(_("instance"), max_length=64, blank=True)
    boot_id = models.CharField(_("boot"), max_length=64, blank=True)
    token_public_id = models.CharField(max_length=16, blank=True, db_index=True)
    token_sha256 = models.CharField(max_length=64, blank=True)
    token_used = models.BooleanField(default=False)
    epoch = models.PositiveIntegerField(_("connection epoch"), default=0)
    address = models.CharField(_("address"), max_length=64, blank=True)

    # What people decided about it.
    is_draining = models.BooleanField(_("draining"), default=False)
    # A paused host is draining, too, and its probes rest.
    is_paused = models.BooleanField(_("paused"), default=False)
    drain_reason = models.CharField(_("reason"), max_length=200, blank=True)
    unkillable_tasks = models.PositiveIntegerField(_("unkillable tasks"), default=0)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    objects = AgentQuerySet.as_manager()

    class Meta:
        verbose_name = _("agent")
        verbose_name_plural = _("agents")
        ordering = ("created_time", "id")
        indexes = [
            # The agents page and the matcher: main agents of a tenant.
            models.Index(fields=("tenant", "type", "status"), name="agent_by_tenant"),
            # Registering again with the same instance finds its row.
            models.Index(fields=("tenant", "instance_id"), name="agent_by_instance"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the page of the agent, or of its main agent."""
        return f"/agents/{self.main_agent_id or self.id}/"
