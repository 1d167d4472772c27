"""The task: one script or file, what it needs, and the record of its one execution."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.choices import FINAL, OCCUPYING, TRANSFERS, Kind, Phase, Reason, ScriptType, Status
from tasks.querysets import TaskQuerySet


class Task(models.Model):
    """One execution of one script. Never deleted; a rerun is a new task.

    `status`, `phase` and `reason` change only through services/moves.py. `agent` is the
    host it was given to, `wanted_agent` the one the submitter named. `offer` counts how
    often it was offered and fences off messages about older offers.
    """

    # What was asked.
    tenant = models.ForeignKey("accounts.Tenant", models.PROTECT, related_name="tasks")
    name = models.CharField(_("name"), max_length=200)
    template_type = models.CharField(_("template type"), max_length=100)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind, default=Kind.SCRIPT)
    priority = models.PositiveSmallIntegerField(_("priority"), default=3)
    script_type = models.CharField(
        _("script type"), max_length=16, choices=ScriptType, default=ScriptType.SHELL
    )
    script_content = models.TextField(_("script"), blank=True)
    cpu_cores = models.PositiveIntegerField(_("CPU cores"), default=1)
    gpu_count = models.PositiveIntegerField(_("GPUs"), default=0)
    gpu_memory = models.PositiveIntegerField(_("memory per GPU (MB)"), default=0)
    timeout = models.PositiveIntegerField(_("time limit (s)"), null=True, blank=True)
    env = models.JSONField(_("environment"), default=dict, blank=True)
    labels = models.JSONField(_("agent labels"), default=dict, blank=True)
    working_dir = models.CharField(_("working directory"), max_length=1000, blank=True)
    merge_output = models.BooleanField(_("merge output"), default=False)
    run_as = models.CharField(_("user on the host"), max_length=64, blank=True)
    limits = models.JSONField(_("limits"), default=dict, blank=True)
    wanted_agent = models.ForeignKey(
        "agents.Agent", models.PROTECT, null=True, blank=True, related_name="+"
    )
    depends_on = models.ManyToManyField(
        "self", through="tasks.TaskDependency", symmetrical=False, related_name="dependents"
    )
    rerun_of = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="reruns"
    )
    created_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_time = models.DateTimeField(_("created"), auto_now_add=True)
    lost_after_seconds = models.PositiveIntegerField(_("given up after (s)"), default=24 * 3600)

    # Where it stands.
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.WAITING)
    phase = models.CharField(
        _("phase"), max_length=16, choices=Phase, default=Phase.QUEUED, blank=True
    )
    reason = models.CharField(_("reason"), max_length=32, choices=Reason, blank=True)
    reason_detail = models.CharField(_("reason in detail"), max_length=1000, blank=True)
    version = models.PositiveIntegerField(_("version"), default=0)
    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True, blank=True)
    cancel_requested_by = models.CharField(_("canceled by"), max_length=200, blank=True)

    # Who runs it.
    agent = models.ForeignKey(
        "agents.Agent", models.PROTECT, null=True, blank=True, related_name="+"
    )
    offer = models.PositiveIntegerField(_("offer"), default=0)
    offered_at = models.DateTimeField(_("offered"), null=True, blank=True)
    gpu_ids = models.JSONField(_("GPUs given"), default=list, blank=True)

    # How it went.
    start_time = models.DateTimeField(_("started"), null=True, blank=True)
    end_time = models.DateTimeField(_("ended"), null=True, blank=True)
    duration_seconds = models.FloatField(_("duration (s)"), null=True, blank=True)
    exit_code = models.IntegerField(_("exit code"), null=True, blank=True)
    signal = models.PositiveSmallIntegerField(_("signal"), null=True, blank=True)
    log_bytes = models.BigIntegerField(_("log size"), default=0)
    log_truncated_bytes = models.BigIntegerField(_("log bytes not kept"), default=0)
    unkillable = models.BooleanField(_("cannot be killed"), default=False)
    progress = models.JSONField(_("progress"), null=True, blank=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=models.Q(priority__gte=1, priority__lte=5), name="task_priority_1_to_5"
            ),
        ]
        indexes = [
            # The list of a tenant, all and by status, newest first.
            models.Index(fields=("tenant", "-id"), name="task_list"),
            models.Index(fields=("tenant", "status", "-id"), name="task_list_by_status"),
            # The matcher: a tenant's waiting tasks by priority, then age.
            models.Index(
                fields=("tenant", "priority", "id"),
                condition=models.Q(status=Status.WAITING, phase=Phase.QUEUED),
                name="task_queue",
            ),
            # The same for those that move files: looked at also while no slot is free.
            models.Index(
                fields=("tenant", "priority", "id"),
                condition=models.Q(status=Status.WAITING, phase=Phase.QUEUED, kind__in=TRANSFERS),
                name="task_queue_of_transfers",
            ),
            # What each agent of a tenant has booked.
            models.Index(
                fields=("tenant", "agent"),
                condition=models.Q(phase__in=OCCUPYING),
                name="task_bookings",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.name}"

    def get_absolute_url(self) -> str:
        """Return the task's page."""
        return f"/tasks/{self.pk}/"

    @property
    def is_final(self) -> bool:
        """Whether the task has ended for good."""
        return self.status in FINAL

    @property
    def moves_a_file(self) -> bool:
        """Whether it has a transfer in place of a script."""
        return self.kind != Kind.SCRIPT

    @property
    def state(self) -> tuple[str, str]:
        """Return (status, phase), the key of the table of moves."""
        return (self.status, self.phase)

    @property
    def execution_time(self) -> int | None:
        """Return the whole seconds the script ran, once it has ended."""
        return None if self.duration_seconds is None else int(self.duration_seconds)

    @property
    def log_file(self) -> str:
        """Return the name of the log below the data directory."""
        return f"logs/tasks/{self.pk}.log"
