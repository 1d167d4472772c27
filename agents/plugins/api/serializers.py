"""Shapes of plug-ins in REST requests and answers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.plugins.choices import DEFAULT_INTERVAL_SECONDS, Condition
from agents.plugins.models import AgentPlugin, PluginPackage
from agents.plugins.services import Change


class PluginPackageSerializer(serializers.ModelSerializer[PluginPackage]):
    """A package as it was uploaded."""

    class Meta:
        model = PluginPackage
        fields = (
            "id",
            "name",
            "version",
            "sha256",
            "signature",
            "size_bytes",
            "created_at",
            "uploaded_by",
        )
        read_only_fields = fields


class PluginUploadSerializer(serializers.Serializer[Any]):
    """A package and its signature: the text of the .sig file that `plugin-pack` writes."""

    file = serializers.FileField()
    signature = serializers.CharField(max_length=120)


class PluginMetricSerializer(serializers.Serializer[Any]):
    """What a plug-in says of a metric, as far as it says anything."""

    unit = serializers.CharField(required=False)
    help = serializers.CharField(required=False)
    kind = serializers.ChoiceField(["gauge", "counter"], required=False)


class PluginReportSerializer(serializers.Serializer[Any]):
    """How a plug-in is, in its agent's words."""

    condition = serializers.ChoiceField(Condition.choices)
    version = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()
    restarts = serializers.IntegerField()
    since = serializers.DateTimeField(allow_null=True)
    dropped_samples = serializers.IntegerField()
    reported_at = serializers.DateTimeField()
    metrics = serializers.DictField(child=PluginMetricSerializer())


class PluginWantedSerializer(serializers.Serializer[Any]):
    """What people want of a plug-in on a host; config only for who may change it."""

    enabled = serializers.BooleanField()
    interval_seconds = serializers.FloatField()
    config = serializers.SerializerMethodField()
    package = PluginPackageSerializer(allow_null=True)
    updated_at = serializers.DateTimeField()
    updated_by = serializers.CharField()

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_config(self, row: AgentPlugin) -> dict[str, Any] | None:
        """Return the configuration, None for who may not change it: values may be secrets."""
        return dict(row.config) if self.context["may_change"] else None


class PluginSerializer(serializers.Serializer[Any]):
    """A plug-in on a host; reads a PluginView, and `may_change` from its context."""

    name = serializers.CharField()
    is_built_in = serializers.BooleanField()
    is_active = serializers.BooleanField()
    wanted = PluginWantedSerializer(allow_null=True)
    reported = PluginReportSerializer(source="report", allow_null=True)
    last_sample_at = serializers.DateTimeField(source="last_at", allow_null=True)


class PluginPatchSerializer(serializers.Serializer[Any]):
    """What is to change of a plug-in; what is left out stays. package 0 takes it away."""

    enabled = serializers.BooleanField(required=False)
    interval_seconds = serializers.FloatField(required=False)
    config = serializers.DictField(required=False)
    package = serializers.IntegerField(required=False, min_value=0, max_value=2**53)

    def to_change(self) -> Change:
        """Return what was sent as the service takes it."""
        sent = self.validated_data
        return Change(
            enabled=sent.get("enabled"),
            interval_seconds=sent.get("interval_seconds"),
            config=sent.get("config"),
            package_id=sent.get("package"),
        )


class PluginPutSerializer(PluginPatchSerializer):
    """A plug-in as a whole; what is left out becomes the default."""

    def to_change(self) -> Change:
        """Return what was sent, with defaults for the rest."""
        sent = self.validated_data
        return Change(
            enabled=sent.get("enabled", True),
            interval_seconds=sent.get("interval_seconds", DEFAULT_INTERVAL_SECONDS),
            config=sent.get("config", {}),
            package_id=sent.get("package", 0),
        )


class PluginByLabelsSerializer(PluginPatchSerializer):
    """A change on every host that carries all the labels."""

    name = serializers.CharField(max_length=40)
    labels = serializers.DictField(required=False, default=dict, child=serializers.CharField())


class PluginRemovalSerializer(serializers.Serializer[Any]):
    """Which plug-in is to go from which hosts."""

    name = serializers.CharField(max_length=40)
    labels = serializers.DictField(required=False, default=dict, child=serializers.CharField())


class PluginHostsSerializer(serializers.Serializer[Any]):
    """The hosts that a change by labels reached."""

    agents = serializers.ListField(child=serializers.CharField())


class PluginFigureSerializer(serializers.Serializer[Any]):
    """What one metric came to within a span."""

    samples = serializers.IntegerField()
    mean = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    last = serializers.FloatField()


class PluginSpanSerializer(serializers.Serializer[Any]):
    """The figures of one span; start in seconds since the epoch."""

    start = serializers.IntegerField()
    figures = serializers.DictField(child=PluginFigureSerializer())


class PluginSamplesSerializer(serializers.Serializer[Any]):
    """The spans of a plug-in, oldest first; each is span_seconds long."""

    span_seconds = serializers.IntegerField()
    spans = PluginSpanSerializer(many=True)


class PluginLineSerializer(serializers.Serializer[Any]):
    """One line that a plug-in followed."""

    id = serializers.IntegerField()
    at = serializers.FloatField()
    text = serializers.CharField()


class PluginLinesSerializer(serializers.Serializer[Any]):
    """The newest lines, oldest first."""

    lines = PluginLineSerializer(many=True)
