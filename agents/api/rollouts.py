"""REST of staged roll-outs: list, begin, pause, resume, roll back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from agents.models import Rollout
from agents.rollout_plan import DEFAULT_STAGES, MAX_STAGES
from agents.services import rollouts
from dialer_platform.accounts.principal import principal_of

MAX_SECONDS = 7 * 24 * 3600


class RolloutHostSerializer(serializers.Serializer[Any]):
    """A host's place in a roll-out."""

    agent = serializers.CharField(source="agent_id")
    name = serializers.CharField(source="agent.name")
    stage = serializers.IntegerField()
    version = serializers.CharField(source="agent.version")
    former_version = serializers.CharField()
    is_changing = serializers.BooleanField(source="agent.release.is_changing")
    failed_code = serializers.CharField(source="agent.release.failed_code")
    failed_detail = serializers.CharField(source="agent.release.failed_detail")


class RolloutSerializer(serializers.Serializer[Any]):
    """A roll-out with its hosts; `stages` are the hosts done after each, `stage` counts from 0."""

    id = serializers.IntegerField()
    version = serializers.CharField()
    sha256 = serializers.CharField()
    labels = serializers.DictField(child=serializers.CharField())
    stages = serializers.ListField(child=serializers.IntegerField())
    stage = serializers.IntegerField()
    state = serializers.CharField()
    reason = serializers.CharField()
    soak_seconds = serializers.IntegerField()
    patience_seconds = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    hosts = RolloutHostSerializer(many=True)


class NewRolloutSerializer(serializers.Serializer[Any]):
    """What a roll-out begins with; stages are numbers of hosts or shares, "1" or "10%"."""

    version = serializers.CharField(
        required=False, allow_blank=True, max_length=32, default="", trim_whitespace=True
    )
    labels = serializers.DictField(
        required=False, default=dict, child=serializers.CharField(allow_blank=True)
    )
    stages = serializers.ListField(
        required=False,
        default=lambda: list(DEFAULT_STAGES),
        child=serializers.CharField(max_length=8),
        max_length=MAX_STAGES,
    )
    soak_seconds = serializers.IntegerField(default=60, min_value=0, max_value=MAX_SECONDS)
    patience_seconds = serializers.IntegerField(default=900, min_value=10, max_value=MAX_SECONDS)


@extend_schema_view(list=extend_schema(summary="Roll-outs of the tenant, newest first"))
class RolloutViewSet(ReadOnlyModelViewSet[Rollout]):
    """Staged roll-outs of a version of the agent."""

    queryset = Rollout.objects.none()
    serializer_class = RolloutSerializer
    ordering_fields = ("id", "created_at")
    ordering = ("-id",)
    actions = {
        "list": "agent.view",
        "retrieve": "agent.view",
        "create": "agent.upgrade",
        "pause": "agent.upgrade",
        "resume": "agent.upgrade",
        "roll_back": "agent.upgrade",
    }

    def get_queryset(self) -> QuerySet[Rollout]:
        """Return the roll-outs of the caller's tenant with their hosts."""
        if getattr(self, "swagger_fake_view", False):
            return Rollout.objects.none()
        mine = Rollout.objects.filter(tenant_id=principal_of(self.request).tenant_id)
        return mine.prefetch_related("hosts__agent__release")

    @extend_schema(request=NewRolloutSerializer, responses={201: RolloutSerializer})
    def create(self, request: Request) -> Response:
        """Begin a roll-out; its first stage is told at once."""
        body = NewRolloutSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        rollout = rollouts.start_rollout(by=principal_of(request), **body.validated_data)
        return Response(RolloutSerializer(rollout).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=RolloutSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Begin no further stage."""
        return self._act(request, rollouts.pause_rollout)

    @extend_schema(request=None, responses=RolloutSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on; hosts that failed are asked once more."""
        return self._act(request, rollouts.resume_rollout)

    @extend_schema(request=None, responses=RolloutSerializer)
    @action(detail=True, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request, pk: str) -> Response:
        """Bring every host that was told to change back to what it ran before."""
        return self._act(request, rollouts.roll_back)

    def _act(self, request: Request, verb: Callable[..., Rollout]) -> Response:
        """Call a service on the roll-out and return it as it is now."""
        rollout = verb(self.get_object(), by=principal_of(request))
        return Response(RolloutSerializer(self.get_queryset().get(pk=rollout.pk)).data)
