"""REST of the plug-ins of one host: what is wanted, how it is, what it measured."""

from __future__ import annotations

import math
import time
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound as NotFoundAnswer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.models import Agent
from agents.plugins import queries
from agents.plugins.api.serializers import (
    PluginByLabelsSerializer,
    PluginHostsSerializer,
    PluginLinesSerializer,
    PluginPatchSerializer,
    PluginPutSerializer,
    PluginRemovalSerializer,
    PluginSamplesSerializer,
    PluginSerializer,
)
from agents.plugins.choices import NAME
from agents.plugins.services import (
    Change,
    activate_built_in,
    remove_plugin,
    remove_plugin_by_labels,
    set_plugin,
    set_plugin_by_labels,
)
from dialer_platform.accounts.permissions import can
from dialer_platform.accounts.principal import principal_of
from dialer_platform.errors import Invalid, NotFound

HOUR_SECONDS = 3_600


def host_of(request: Request, agent_id: str) -> Agent:
    """Return a host of the caller's tenant; raises NotFound."""
    hosts = Agent.objects.visible_to(principal_of(request)).hosts()
    agent: Agent | None = hosts.filter(id=agent_id).first()
    if agent is None:
        raise NotFound("There is no such agent.")
    return agent


class PluginListView(APIView):
    """The plug-ins of one host."""

    actions = {"get": "plugin.view", "post": "plugin.change"}

    @extend_schema(summary="Plug-ins of a host", responses=PluginSerializer(many=True))
    def get(self, request: Request, agent_id: str) -> Response:
        """Return what is wanted and what is reported, by name; built-in ones are offered."""
        agent = host_of(request, agent_id)
        views = queries.views_of(agent, with_offered=True)
        return Response(_serializer(request, agent, views, many=True).data)

    @extend_schema(
        summary="Activate the built-in plug-ins",
        request=None,
        responses=PluginSerializer(many=True),
    )
    def post(self, request: Request, agent_id: str) -> Response:
        """Activate cpu, memory, disk and network on the host."""
        agent = host_of(request, agent_id)
        activate_built_in(agent, by=principal_of(request))
        return Response(_serializer(request, agent, queries.views_of(agent), many=True).data)


class PluginView(APIView):
    """One plug-in of one host."""

    actions = {
        "get": "plugin.view",
        "put": "plugin.change",
        "patch": "plugin.change",
        "delete": "plugin.change",
    }

    @extend_schema(summary="A plug-in of a host", responses=PluginSerializer)
    def get(self, request: Request, agent_id: str, name: str) -> Response:
        """Return what is wanted and what is reported of one plug-in."""
        return self._answer(request, host_of(request, agent_id), name)

    @extend_schema(
        summary="Set a plug-in of a host", request=PluginPutSerializer, responses=PluginSerializer
    )
    def put(self, request: Request, agent_id: str, name: str) -> Response:
        """Make the plug-in what the body says, with defaults for what it leaves out."""
        body = PluginPutSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return self._change(request, agent_id, name, body.to_change())

    @extend_schema(
        summary="Change a plug-in of a host",
        request=PluginPatchSerializer,
        responses=PluginSerializer,
    )
    def patch(self, request: Request, agent_id: str, name: str) -> Response:
        """Change what the body names; a plug-in the host does not have yet is made."""
        body = PluginPatchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return self._change(request, agent_id, name, body.to_change())

    @extend_schema(summary="Remove a plug-in from a host", responses={204: None})
    def delete(self, request: Request, agent_id: str, name: str) -> Response:
        """Forget the plug-in with its configuration."""
        remove_plugin(host_of(request, agent_id), name, by=principal_of(request))
        return Response(status=204)

    def _change(self, request: Request, agent_id: str, name: str, change: Change) -> Response:
        """Change the plug-in and return it."""
        agent = host_of(request, agent_id)
        set_plugin(agent, name, by=principal_of(request), change=change)
        return self._answer(request, agent, name)

    def _answer(self, request: Request, agent: Agent, name: str) -> Response:
        """Return one plug-in as it is now; raises NotFound."""
        views = queries.views_of(agent, with_offered=True)
        found = next((view for view in views if view.name == name), None)
        if found is None:
            raise NotFound("The agent has no such plug-in.")
        return Response(_serializer(request, agent, found).data)


class SamplesView(APIView):
    """What one plug-in measured."""

    actions = {"get": "plugin.view"}

    @extend_schema(
        summary="What a plug-in measured",
        parameters=[
            OpenApiParameter(
                "since", OpenApiTypes.FLOAT, description="Seconds since the epoch; an hour ago."
            ),
            OpenApiParameter("metric", str, description="One metric only; parts in [] included."),
        ],
        responses=PluginSamplesSerializer,
    )
    def get(self, request: Request, agent_id: str, name: str) -> Response:
        """Return spans of a minute, or of a quarter of an hour for more than six hours."""
        agent = host_of(request, agent_id)
        since = _since(request.query_params.get("since", ""))
        metric = request.query_params.get("metric", "")
        seconds, spans = queries.spans_of(agent.pk, _name(name), since=since, metric=metric)
        return Response(PluginSamplesSerializer({"span_seconds": seconds, "spans": spans}).data)


class LinesView(APIView):
    """The newest lines of one plug-in."""

    actions = {"get": "plugin.view"}

    @extend_schema(
        summary="Newest lines of a plug-in",
        parameters=[OpenApiParameter("limit", int, description="1 to 1000; 200 by default.")],
        responses=PluginLinesSerializer,
    )
    def get(self, request: Request, agent_id: str, name: str) -> Response:
        """Return the newest lines, oldest first."""
        agent = host_of(request, agent_id)
        text = request.query_params.get("limit", "200")
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= queries.MAX_LINES):
            raise Invalid("Not valid.", fields={"limit": ["Must be 1 to 1000."]})
        lines = queries.lines_of(agent.pk, _name(name), limit=int(text))
        return Response(PluginLinesSerializer({"lines": lines}).data)


class ByLabelsView(APIView):
    """One plug-in on many hosts at once."""

    actions = {"post": "plugin.change"}

    @extend_schema(
        summary="Set a plug-in on all hosts with these labels",
        request=PluginByLabelsSerializer,
        responses=PluginHostsSerializer,
    )
    def post(self, request: Request) -> Response:
        """Make or change the plug-in on every host that carries all the labels."""
        body = PluginByLabelsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        principal = principal_of(request)
        hosts = set_plugin_by_labels(
            tenant_id=principal.tenant_id,
            labels=body.validated_data["labels"],
            name=body.validated_data["name"],
            by=principal,
            change=body.to_change(),
        )
        return Response({"agents": hosts})


class RemoveByLabelsView(APIView):
    """One plug-in away from many hosts at once."""

    actions = {"post": "plugin.change"}

    @extend_schema(
        summary="Remove a plug-in from all hosts with these labels",
        request=PluginRemovalSerializer,
        responses=PluginHostsSerializer,
    )
    def post(self, request: Request) -> Response:
        """Remove the plug-in from every host that carries all the labels."""
        body = PluginRemovalSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        principal = principal_of(request)
        sent = body.validated_data
        hosts = remove_plugin_by_labels(
            tenant_id=principal.tenant_id, labels=sent["labels"], name=sent["name"], by=principal
        )
        return Response({"agents": hosts})


def _serializer(
    request: Request, agent: Agent, views: Any, *, many: bool = False
) -> PluginSerializer:
    """Return plug-ins of a host as the caller may see them."""
    may_change = can(principal_of(request), "plugin.change", agent)
    return PluginSerializer(views, many=many, context={"may_change": may_change})


def _since(text: str) -> float:
    """Return a moment in seconds since the epoch, an hour ago when nothing is said."""
    if not text:
        return time.time() - HOUR_SECONDS
    try:
        since = float(text)
    except ValueError:
        since = math.nan
    if not 0 <= since < 1e11:  # false for what is no number, too
        raise Invalid("Not valid.", fields={"since": ["Must be seconds since the epoch."]})
    return since


def _name(name: str) -> str:
    """Return the name of a plug-in; what cannot be one is missing."""
    if not NAME.fullmatch(name):
        raise NotFoundAnswer
    return name
