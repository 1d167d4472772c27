"""Tables of what plug-ins measured: spans of figures, and lines of logs.

They live in `settings.SERIES_DATABASE`, name agents by id and have no foreign keys: a row
may outlive what it is about, until its retention ends.
"""

from __future__ import annotations

from django.db import models


class PluginSpan(models.Model):
    """What one plug-in measured on one host within one minute or one quarter of an hour.

    `level` is the span's length and `start` its beginning, in seconds since the epoch.
    figures is JSON text: metric -> [count, sum, lowest, highest, last].
    """

    agent_id = models.CharField(max_length=64)
    plugin = models.CharField(max_length=40)
    level = models.PositiveSmallIntegerField()
    start = models.BigIntegerField()
    last_at = models.FloatField(default=0)
    figures = models.TextField(default="{}")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=("agent_id", "plugin", "level", "start"), name="one_plugin_span"
            )
        ]
        # Retention deletes by level and age.
        indexes = [models.Index(fields=("level", "start"), name="plugin_span_by_age")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.plugin} {self.level} {self.start}"


class PluginLine(models.Model):
    """One line that a plug-in followed; ids grow in the order of arrival."""

    agent_id = models.CharField(max_length=64)
    plugin = models.CharField(max_length=40)
    at = models.FloatField()
    text = models.TextField()

    class Meta:
        # The newest lines of a plug-in, and the bound on those of a host.
        indexes = [models.Index(fields=("agent_id", "plugin", "id"), name="plugin_line_of_host")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.plugin} {self.pk}"
