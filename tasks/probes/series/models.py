"""Tables of time series: an append-only log of results, and what follows from it.

They live in a database of their own (`settings.SERIES_DATABASE`), so that neither their
volume nor their retention ever blocks the queue. They name probes and agents by id and
have no foreign keys: a row may outlive what it is about, until its retention ends.
"""

from __future__ import annotations

from django.db import models


class ProbeResult(models.Model):
    """One run, or a span of missed ones; ids grow in the order of commits.

    Moments are microseconds since the epoch, durations microseconds. phases and details
    are JSON text, stored as they came: they are read far less often than written.
    """

    probe_id = models.BigIntegerField()
    agent_id = models.CharField(max_length=64)
    started_us = models.BigIntegerField()
    ended_us = models.BigIntegerField(null=True)
    outcome = models.PositiveSmallIntegerField()
    count = models.PositiveIntegerField()
    duration_us = models.BigIntegerField()
    late_us = models.BigIntegerField()
    version = models.PositiveIntegerField()
    is_saturated = models.BooleanField()
    reason = models.CharField(max_length=64)
    phase = models.CharField(max_length=64)
    phases = models.TextField()
    error = models.TextField()
    details = models.TextField()

    class Meta:
        # The newest results of a probe, and those of a span.
        indexes = [models.Index(fields=("probe_id", "started_us"), name="result_of_probe")]

    def __str__(self) -> str:
        return f"{self.probe_id} {self.agent_id} {self.started_us}"


class StreamPosition(models.Model):
    """Which numbers of an agent's stream are stored, as ranges `[[first, last], …]`.

    Delivered in order this is one range; a unique index over all results would cost a
    write per result to say the same.
    """

    agent_id = models.CharField(max_length=64)
    stream = models.CharField(max_length=64)
    seen = models.TextField(default="[]")
    updated_us = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("agent_id", "stream"), name="one_position_per_stream")
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.stream}"


class RollUp(models.Model):
    """What a probe's runs at one location came to in one minute, hour or day.

    `start` is seconds since the epoch. Latency is that of up and degraded runs, in
    microseconds; sketch holds its log buckets, which add up exactly. Runs within a
    maintenance window are counted there only.
    """

    level = models.PositiveSmallIntegerField()
    probe_id = models.BigIntegerField()
    agent_id = models.CharField(max_length=64)
    start = models.BigIntegerField()
    up = models.PositiveIntegerField(default=0)
    degraded = models.PositiveIntegerField(default=0)
    down = models.PositiveIntegerField(default=0)
    error = models.PositiveIntegerField(default=0)
    missed = models.PositiveIntegerField(default=0)
    maintenance = models.PositiveIntegerField(default=0)
    latency_sum_us = models.BigIntegerField(default=0)
    latency_min_us = models.BigIntegerField(null=True)
    latency_max_us = models.BigIntegerField(null=True)
    sketch = models.TextField(default="{}")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=("probe_id", "level", "start", "agent_id"), name="one_roll_up_per_span"
            )
        ]
        # Retention deletes by level and age.
        indexes = [models.Index(fields=("level", "start"), name="roll_up_by_age")]

    def __str__(self) -> str:
        return f"{self.probe_id} {self.level} {self.start}"


class SeriesCursor(models.Model):
    """How far a follower came, committed with its work in the same database."""

    name = models.CharField(primary_key=True, max_length=32)
    last_id = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} {self.last_id}"
