"""The shape of probes in answers, and of requests for the schema.

Requests are validated by the services, so that pages, API and imports refuse the same.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from tasks.probes.choices import Outcome, Policy, Recurrence, State
from tasks.probes.models import Incident, Location, MaintenanceWindow, Probe, ProbeRunRequest


class LocationSerializer(serializers.ModelSerializer[Location]):
    """What one host sees of the target."""

    agent_id = serializers.CharField(read_only=True, allow_null=True)
    agent_name = serializers.SerializerMethodField()

    class Meta:
        model = Location
        fields = [
            "agent_id",
            "agent_name",
            "state",
            "state_since",
            "failures",
            "last_outcome",
            "last_reason",
            "last_error",
            "last_at",
            "last_duration_seconds",
            "last_phases",
            "last_details",
            "last_version",
            "executed",
            "missed",
        ]
        read_only_fields = fields

    def get_agent_name(self, location: Location) -> str | None:
        """Return the host's name; None where the target reports itself."""
        return location.agent.name if location.agent else None


class ProbeSerializer(serializers.ModelSerializer[Probe]):
    """A probe in answers."""

    tenant = serializers.CharField(source="tenant_id", read_only=True)
    agents = serializers.SerializerMethodField()
    parents = serializers.SerializerMethodField()
    created_by = serializers.SerializerMethodField()
    locations = LocationSerializer(many=True, read_only=True)

    class Meta:
        model = Probe
        fields = [
            "id",
            "name",
            "kind",
            "target",
            "interval",
            "timeout",
            "config",
            "enabled",
            "agents",
            "labels",
            "tags",
            "policy",
            "fail_threshold",
            "recover_threshold",
            "parents",
            "version",
            "state",
            "state_since",
            "is_flapping",
            "pushed_at",
            "locations",
            "created_time",
            "created_by",
            "tenant",
        ]
        read_only_fields = fields

    def get_agents(self, probe: Probe) -> list[str]:
        """Return the ids of the agents it names."""
        return sorted(agent.pk for agent in probe.agents.all())

    def get_parents(self, probe: Probe) -> list[int]:
        """Return the ids of the probes it is behind."""
        return sorted(parent.pk for parent in probe.parents.all())

    def get_created_by(self, probe: Probe) -> str | None:
        """Return the name of who made it."""
        return probe.created_by.get_username() if probe.created_by else None


class NewProbeSerializer(ProbeSerializer):
    """A probe as answered when it is made: with its push token, this once."""

    push_token = serializers.SerializerMethodField()

    class Meta(ProbeSerializer.Meta):
        fields = [*ProbeSerializer.Meta.fields, "push_token"]
        read_only_fields = fields

    def get_push_token(self, probe: Probe) -> str | None:
        """Return the token of a probe that reports itself; None for all others."""
        return self.context.get("push_token") or None


class ProbeRequestSerializer(serializers.Serializer[Any]):
    """What a probe may say; for the schema and the browsable form."""

    name = serializers.CharField(max_length=200)
    kind = serializers.CharField(max_length=32)
    target = serializers.CharField(max_length=2000)
    interval = serializers.IntegerField(min_value=1, help_text="seconds")
    timeout = serializers.FloatField(allow_null=True, required=False, help_text="seconds")
    config = serializers.JSONField(default=dict)
    enabled = serializers.BooleanField(default=True)
    agents = serializers.ListField(child=serializers.CharField(), default=list)
    labels = serializers.DictField(child=serializers.CharField(), default=dict)
    tags = serializers.ListField(child=serializers.CharField(), default=list)
    policy = serializers.ChoiceField(choices=Policy.choices, default=Policy.MAJORITY)
    fail_threshold = serializers.IntegerField(min_value=1, default=2)
    recover_threshold = serializers.IntegerField(min_value=1, default=1)
    parents = serializers.ListField(child=serializers.IntegerField(), default=list)


class ProbeTrialSerializer(serializers.Serializer[Any]):
    """A probe that is tried before it is stored."""

    kind = serializers.CharField(max_length=32)
    target = serializers.CharField(max_length=2000)
    timeout = serializers.FloatField(allow_null=True, required=False, help_text="seconds")
    config = serializers.JSONField(default=dict)
    agent_id = serializers.CharField(required=False, help_text="by default one that is online")


class RunAgentSerializer(serializers.Serializer[Any]):
    """From where a test is run."""

    agent_id = serializers.CharField(required=False, help_text="by default one that is online")


class ResultSerializer(serializers.Serializer[Any]):
    """What one run came to, or a span of missed ones."""

    id = serializers.IntegerField()
    agent_id = serializers.CharField(allow_null=True)
    success = serializers.BooleanField()
    outcome = serializers.ChoiceField(choices=Outcome.choices)
    reason = serializers.CharField()
    phase = serializers.CharField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    duration_seconds = serializers.FloatField()
    late_seconds = serializers.FloatField()
    saturated = serializers.BooleanField()
    count = serializers.IntegerField(help_text="due runs that a missed span stands for")
    version = serializers.IntegerField()
    phases = serializers.DictField(child=serializers.FloatField())
    error = serializers.CharField()
    details = serializers.DictField()


class ResultsSerializer(serializers.Serializer[Any]):
    """Results newest first; older ones by `until` with the last started_at."""

    count = serializers.IntegerField()
    results = ResultSerializer(many=True)


class RunRequestSerializer(serializers.ModelSerializer[ProbeRunRequest]):
    """A test run and, once its host has answered, what it found."""

    request_id = serializers.CharField(source="id", read_only=True)
    agent_id = serializers.CharField(read_only=True)
    probe_id = serializers.IntegerField(read_only=True, allow_null=True)
    result = serializers.JSONField(read_only=True, allow_null=True)

    class Meta:
        model = ProbeRunRequest
        fields = [
            "request_id",
            "probe_id",
            "agent_id",
            "created_at",
            "expires_at",
            "answered_at",
            "result",
        ]
        read_only_fields = fields


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    """An outage."""

    probe_id = serializers.IntegerField(read_only=True)
    probe_name = serializers.CharField(source="probe.name", read_only=True)
    duration_seconds = serializers.FloatField(read_only=True, allow_null=True)

    class Meta:
        model = Incident
        fields = [
            "id",
            "probe_id",
            "probe_name",
            "started_at",
            "ended_at",
            "duration_seconds",
            "reason",
            "error",
            "locations",
            "suppressed_by",
            "ended_by",
        ]
        read_only_fields = fields


class MaintenanceSerializer(serializers.ModelSerializer[MaintenanceWindow]):
    """A maintenance window in answers."""

    probes = serializers.SerializerMethodField()

    class Meta:
        model = MaintenanceWindow
        fields = [
            "id",
            "name",
            "starts_at",
            "ends_at",
            "recurrence",
            "weekdays",
            "until",
            "probes",
            "tags",
        ]
        read_only_fields = fields

    def get_probes(self, window: MaintenanceWindow) -> list[int]:
        """Return the ids of the probes it names."""
        return sorted(probe.pk for probe in window.probes.all())


class MaintenanceRequestSerializer(serializers.Serializer[Any]):
    """What a maintenance window may say."""

    name = serializers.CharField(max_length=200)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    recurrence = serializers.ChoiceField(choices=Recurrence.choices, default=Recurrence.ONCE)
    weekdays = serializers.ListField(child=serializers.IntegerField(), default=list)
    until = serializers.DateTimeField(allow_null=True, required=False)
    probes = serializers.ListField(child=serializers.IntegerField(), default=list)
    tags = serializers.ListField(child=serializers.CharField(), default=list)


class SpanSerializer(serializers.Serializer[Any]):
    """One piece of a summary's series."""

    start = serializers.DateTimeField()
    availability = serializers.FloatField(allow_null=True)
    mean_seconds = serializers.FloatField(allow_null=True)
    p95_seconds = serializers.FloatField(allow_null=True)
    up = serializers.IntegerField()
    degraded = serializers.IntegerField()
    down = serializers.IntegerField()
    error = serializers.IntegerField()
    missed = serializers.IntegerField()
    maintenance = serializers.IntegerField()


class SummarySerializer(serializers.Serializer[Any]):
    """What a probe came to over a window; shares are 0 to 1, null when nothing ran."""

    probe_id = serializers.IntegerField()
    window_seconds = serializers.IntegerField()
    step_seconds = serializers.IntegerField()
    state = serializers.ChoiceField(choices=State.choices)
    availability = serializers.FloatField(allow_null=True)
    coverage = serializers.FloatField(allow_null=True)
    up = serializers.IntegerField()
    degraded = serializers.IntegerField()
    down = serializers.IntegerField()
    error = serializers.IntegerField()
    missed = serializers.IntegerField()
    maintenance = serializers.IntegerField()
    min_seconds = serializers.FloatField(allow_null=True)
    mean_seconds = serializers.FloatField(allow_null=True)
    max_seconds = serializers.FloatField(allow_null=True)
    p50_seconds = serializers.FloatField(allow_null=True)
    p95_seconds = serializers.FloatField(allow_null=True)
    p99_seconds = serializers.FloatField(allow_null=True)
    incidents = serializers.IntegerField()
    series = SpanSerializer(many=True)


class PushTokenSerializer(serializers.Serializer[Any]):
    """The new token: it is shown this once."""

    push_token = serializers.CharField()


class BlackboxModuleSerializer(serializers.Serializer[Any]):
    """One module of a blackbox_exporter file as kind and configuration of a probe."""

    name = serializers.CharField()
    kind = serializers.CharField(help_text="empty when there is no counterpart")
    timeout = serializers.FloatField(allow_null=True)
    config = serializers.DictField()
    lost = serializers.ListField(child=serializers.CharField(), help_text="what was left out")


class BlackboxSerializer(serializers.Serializer[Any]):
    """The modules of a file."""

    modules = BlackboxModuleSerializer(many=True)
