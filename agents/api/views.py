"""REST of hosts: list, detail, drain, pause, resume, revoke, and new enrolment tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from agents.api.serializers import (
    AgentSerializer,
    EnrolmentTokenSerializer,
    EnrolSerializer,
    ReasonSerializer,
    ReleaseSerializer,
    UpgradeSerializer,
)
from agents.distribution import releases
from agents.distribution.installer import command_for
from agents.filters import AgentFilter
from agents.models import Agent
from agents.portrait import portrait, portraits
from agents.services.enrolment import create_enrolment_token
from agents.services.host_releases import upgrade_agent
from agents.services.main_agents import (
    drain_agent,
    pause_agent,
    resume_agent,
    revoke_agent,
)
from dialer_platform.accounts.principal import principal_of


@extend_schema_view(list=extend_schema(summary="Hosts of the tenant, newest first"))
class AgentViewSet(ReadOnlyModelViewSet[Agent]):
    """Hosts; what runs on them is nested."""

    queryset = Agent.objects.none()
    serializer_class = AgentSerializer
    filterset_class = AgentFilter
    ordering_fields = ("created_time", "name", "status", "last_heartbeat_time")
    ordering = ("-created_time", "-id")
    lookup_value_regex = "[A-Za-z0-9_-]+"
    actions = {
        "list": "agent.view",
        "retrieve": "agent.view",
        "drain": "agent.drain",
        "pause": "agent.pause",
        "resume": "agent.resume",
        "revoke": "agent.revoke",
        "upgrade": "agent.upgrade",
        "releases": "agent.view",
        "enroll": "agent.enrol",
    }

    def get_queryset(self) -> QuerySet[Agent]:
        """Return the hosts of the caller's tenant."""
        if getattr(self, "swagger_fake_view", False):
            return Agent.objects.none()
        visible = Agent.objects.visible_to(principal_of(self.request)).hosts()
        return visible.with_running_sub_agents()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of hosts with their live figures."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(AgentSerializer(portraits(page or []), many=True).data)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one host with its live figures."""
        return Response(AgentSerializer(portrait(self.get_object())).data)

    @extend_schema(request=ReasonSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        """Offer the host no new tasks; its probes go on."""
        return self._set_standing(request, drain_agent)

    @extend_schema(request=ReasonSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Offer the host no new tasks and let its probes rest; its silence alarms nobody."""
        return self._set_standing(request, pause_agent)

    @extend_schema(request=ReasonSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Offer the host tasks again and have it probe."""
        return self._set_standing(request, resume_agent)

    @extend_schema(request=None, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """End the host's credential for good."""
        return self._answer(revoke_agent(self.get_object(), by=principal_of(request)))

    @extend_schema(request=UpgradeSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def upgrade(self, request: Request, pk: str) -> Response:
        """Have the host run a version on offer, an older one too; running tasks go on."""
        body = UpgradeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        agent = upgrade_agent(self.get_object(), by=principal_of(request), **body.validated_data)
        return self._answer(agent)

    @extend_schema(responses=ReleaseSerializer(many=True), filters=False)
    @action(detail=False, methods=["get"], pagination_class=None, filterset_class=None)
    def releases(self, request: Request) -> Response:
        """Return the versions on offer, the server's own first."""
        own = releases.current()
        others = [one for one in releases.on_offer() if one.version != own.version]
        return Response(ReleaseSerializer([own, *others], many=True).data)

    @extend_schema(request=EnrolSerializer, responses={201: EnrolmentTokenSerializer})
    @action(detail=False, methods=["post"])
    def enroll(self, request: Request) -> Response:
        """Make an enrolment token, shown this once."""
        body = EnrolSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        principal = principal_of(request)
        token, text = create_enrolment_token(
            actor=principal, tenant=principal.tenant, **body.validated_data
        )
        server = request.build_absolute_uri("/").rstrip("/")
        context = {"text": text, "command": command_for(server, text)}
        answer = EnrolmentTokenSerializer(token, context=context)
        return Response(answer.data, status=status.HTTP_201_CREATED)

    def _set_standing(self, request: Request, verb: Callable[..., Agent]) -> Response:
        """Do one of drain, pause and resume with the reason in the body."""
        body = ReasonSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        agent = verb(self.get_object(), by=principal_of(request), **body.validated_data)
        return self._answer(agent)

    def _answer(self, agent: Agent) -> Response:
        """Return the host as it is now."""
        fresh = Agent.objects.with_running_sub_agents().get(pk=agent.pk)
        return Response(AgentSerializer(portrait(fresh)).data)
