"""Shapes of hosts in REST answers, field by field as the documented API names them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.models import EnrolmentToken


class ForeignProcessSerializer(serializers.Serializer[Any]):
    """A process outside the queue that occupies a GPU."""

    pid = serializers.IntegerField()
    user = serializers.CharField()
    name = serializers.CharField()
    memory_mb = serializers.IntegerField()
    since = serializers.FloatField(allow_null=True)


class GpuSerializer(serializers.Serializer[Any]):
    """One GPU; memory in MB, utilization in percent, `tasks` are ids of owners."""

    uuid = serializers.CharField()
    index = serializers.IntegerField()
    name = serializers.CharField()
    utilization = serializers.FloatField()
    memory_used = serializers.IntegerField()
    memory_total = serializers.IntegerField()
    tasks = serializers.ListField(child=serializers.IntegerField())
    foreign = ForeignProcessSerializer(many=True)


class ThreadPoolSerializer(serializers.Serializer[Any]):
    """State of the host's probe pool."""

    max_workers = serializers.IntegerField(default=0)
    active_threads = serializers.IntegerField(default=0)
    completed_tasks = serializers.IntegerField(default=0)
    pending_tasks = serializers.IntegerField(default=0)


class PortraitSerializer(serializers.Serializer[Any]):
    """What main and sub-agents have in common; reads a Portrait."""

    id = serializers.CharField(source="agent.id")
    name = serializers.CharField(source="agent.name")
    type = serializers.CharField(source="agent.type")
    status = serializers.CharField(source="agent.status")
    tenant = serializers.CharField(source="agent.tenant_id")
    created_time = serializers.DateTimeField(source="agent.created_time")
    last_heartbeat_time = serializers.DateTimeField(allow_null=True)
    running_time = serializers.FloatField()
    cpu_cores = serializers.IntegerField()
    cpu_usage = serializers.FloatField()
    memory_usage = serializers.FloatField()
    memory_bytes = serializers.IntegerField()
    gpu_info = GpuSerializer(many=True)
    task_id = serializers.IntegerField(source="agent.task_id", allow_null=True)
    main_agent_id = serializers.CharField(source="agent.main_agent_id", allow_null=True)
    available_cpu_cores = serializers.IntegerField()
    monitor_file = serializers.CharField(source="agent.monitor_file")


class SubAgentSerializer(PortraitSerializer):
    """A running task on a host."""

    processes = serializers.IntegerField()
    progress = serializers.DictField(allow_null=True)


class HostReleaseSerializer(serializers.Serializer[Any]):
    """Which release the host runs and is to run; code and detail say why it does not."""

    sha256 = serializers.CharField()
    can_change = serializers.BooleanField()
    is_changing = serializers.BooleanField()
    wanted_version = serializers.CharField()
    wanted_sha256 = serializers.CharField()
    failed_code = serializers.CharField()
    failed_detail = serializers.CharField()


class AgentSerializer(PortraitSerializer):
    """A host with its running sub-agents."""

    labels = serializers.DictField(source="agent.labels", child=serializers.CharField())
    host_labels = serializers.DictField(source="agent.host_labels", child=serializers.CharField())
    given_labels = serializers.DictField(source="agent.given_labels", child=serializers.CharField())
    slots = serializers.IntegerField(source="agent.slots")
    script_types = serializers.ListField(source="agent.script_types", child=serializers.CharField())
    system = serializers.DictField(source="agent.system")
    version = serializers.CharField(source="agent.version")
    address = serializers.CharField(source="agent.address")
    resources = serializers.DictField()
    thread_pool = ThreadPoolSerializer()
    is_connected = serializers.BooleanField()
    has_conflict = serializers.BooleanField()
    is_draining = serializers.BooleanField(source="agent.is_draining")
    is_paused = serializers.BooleanField(source="agent.is_paused")
    drain_reason = serializers.CharField(source="agent.drain_reason")
    unkillable_tasks = serializers.IntegerField(source="agent.unkillable_tasks")
    revoked_at = serializers.DateTimeField(source="agent.revoked_at", allow_null=True)
    release = HostReleaseSerializer(allow_null=True)
    sub_agents = SubAgentSerializer(many=True)


class ReasonSerializer(serializers.Serializer[Any]):
    """Why a host is drained, paused or resumed."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")


class UpgradeSerializer(serializers.Serializer[Any]):
    """Which version a host is to run; empty for the server's own."""

    version = serializers.CharField(
        required=False, allow_blank=True, max_length=32, default="", trim_whitespace=True
    )


class ReleaseSerializer(serializers.Serializer[Any]):
    """A version of the agent on offer."""

    version = serializers.CharField()
    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()


class EnrolSerializer(serializers.Serializer[Any]):
    """What a new enrolment token allows."""

    max_uses = serializers.IntegerField(required=False, default=1)
    valid_seconds = serializers.IntegerField(required=False, default=3600)
    labels = serializers.DictField(
        required=False, default=dict, child=serializers.CharField(allow_blank=True)
    )


class EnrolmentTokenSerializer(serializers.ModelSerializer[EnrolmentToken]):
    """A new enrolment token; `token` and `command` are shown this once."""

    token = serializers.SerializerMethodField()
    command = serializers.SerializerMethodField()

    class Meta:
        model = EnrolmentToken
        fields = ("public_id", "token", "command", "expires_at", "max_uses", "labels")

    @extend_schema_field(serializers.CharField())
    def get_token(self, _token: EnrolmentToken) -> str:
        """Return the text of the token."""
        return str(self.context["text"])

    @extend_schema_field(serializers.CharField())
    def get_command(self, _token: EnrolmentToken) -> str:
        """Return the command to paste on the host."""
        return str(self.context["command"])
