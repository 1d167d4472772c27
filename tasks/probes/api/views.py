"""REST endpoints of probes."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from dialer_platform.accounts.principal import principal_of
from tasks.probes.api import parameters
from tasks.probes.api.files import attachment
from tasks.probes.api.serializers import (
    BlackboxSerializer,
    NewProbeSerializer,
    ProbeRequestSerializer,
    ProbeSerializer,
    ProbeTrialSerializer,
    PushTokenSerializer,
    ResultsSerializer,
    RunAgentSerializer,
    RunRequestSerializer,
    SummarySerializer,
)
from tasks.probes.exporting import PROBE_COLUMNS, RESULT_COLUMNS
from tasks.probes.filters import ProbeFilter
from tasks.probes.importing import read_modules
from tasks.probes.models import Probe, ProbeRunRequest
from tasks.probes.querysets import ProbeQuerySet
from tasks.probes.results import MAX_RESULTS, results_of, shown, shown_all
from tasks.probes.services.probes import create_probe, delete_probe, new_push_token, update_probe
from tasks.probes.services.run_requests import run_probe, run_unsaved
from tasks.probes.summary import summarise

DEFAULT_RESULTS = 500
RESULT_PARAMETERS = [
    OpenApiParameter("since", str, description="ISO-8601 or seconds since the epoch, inclusive"),
    OpenApiParameter("until", str, description="the same, exclusive"),
    OpenApiParameter("agent_id", str),
    OpenApiParameter("limit", int, description=f"500 by default, at most {MAX_RESULTS}"),
    OpenApiParameter("download", str, enum=["csv", "json"], description="as a file"),
]
SUMMARY_PARAMETERS = [
    OpenApiParameter("window", str, description="90m, 24h, 30d; 24h by default, at most 366d"),
    OpenApiParameter("agent_id", str, description="as this host saw it"),
]


class ProbeViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Probe]
):
    """Make, list, show, change, run and delete probes."""

    queryset = Probe.objects.none()
    serializer_class = ProbeSerializer
    filterset_class = ProbeFilter
    lookup_value_regex = "[0-9]{1,18}"
    ordering_fields = ["id", "name", "kind", "interval", "state", "state_since", "created_time"]
    ordering = ["-id"]
    actions = {
        "list": "probe.view",
        "retrieve": "probe.view",
        "results": "probe.view",
        "summary": "probe.view",
        "export": "probe.view",
        "push_token": "probe.change",
        "blackbox": "probe.create",
        "create": "probe.create",
        "update": "probe.change",
        "partial_update": "probe.change",
        "destroy": "probe.delete",
        "run": "probe.run",
        "test": "probe.run",
    }

    def get_queryset(self) -> ProbeQuerySet:
        """Return what the caller may see, with all that an answer shows."""
        return Probe.objects.visible_to(principal_of(self.request)).shown()

    def get_serializer_class(self) -> type[Any]:
        """Return the request's shape for forms, the answer's for everything else."""
        is_form = self.action in {"create", "update", "partial_update"}
        return ProbeRequestSerializer if is_form else ProbeSerializer

    @extend_schema(request=ProbeRequestSerializer, responses={201: NewProbeSerializer})
    def create(self, request: Request) -> Response:
        """Make a probe; agents run it from their next beat on."""
        fields = parameters.body(request.data)
        made = create_probe(principal=principal_of(request), fields=fields)
        fresh = self.get_queryset().get(pk=made.pk)
        context = {"push_token": getattr(made, "push_token", "")}
        return Response(NewProbeSerializer(fresh, context=context).data, status=201)

    @extend_schema(request=ProbeRequestSerializer, responses=ProbeSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what the body names; `enabled` pauses and resumes."""
        probe = self.get_object()
        update_probe(probe, by=principal_of(request), fields=parameters.body(request.data))
        return self._answer(probe)

    @extend_schema(request=ProbeRequestSerializer, responses=ProbeSerializer)
    def update(self, request: Request, pk: str) -> Response:
        """Change what the body names; what it leaves out stays."""
        return self.partial_update(request, pk)

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a probe with its states and incidents."""
        delete_probe(self.get_object(), by=principal_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(parameters=RESULT_PARAMETERS, responses=ResultsSerializer, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def results(self, request: Request, pk: str) -> HttpResponseBase:
        """Return single results, newest first."""
        query = request.query_params
        limit = parameters.number(query, "limit", DEFAULT_RESULTS, low=1, high=MAX_RESULTS)
        probe = self.get_object()
        found = results_of(
            probe.pk,
            since=parameters.moment(query, "since"),
            until=parameters.moment(query, "until"),
            agent_id=query.get("agent_id", ""),
            limit=limit,
        )
        if download := query.get("download", ""):
            rows = (shown(one) for one in found)
            return attachment(rows, RESULT_COLUMNS, download, f"probe-{probe.pk}-results")
        return Response({"count": len(found), "results": shown_all(found)})

    @extend_schema(parameters=SUMMARY_PARAMETERS, responses=SummarySerializer, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def summary(self, request: Request, pk: str) -> Response:
        """Return availability, coverage, latencies and their series over a window."""
        query = request.query_params
        found = summarise(
            self.get_object(), parameters.window(query), agent_id=query.get("agent_id", "")
        )
        return Response(SummarySerializer(found).data)

    @extend_schema(
        parameters=[OpenApiParameter("download", str, enum=["csv", "json"])],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    @action(detail=False, methods=["get"], pagination_class=None)
    def export(self, request: Request) -> HttpResponseBase:
        """Return all probes that the filters let through as a file, CSV or JSON."""
        rows = (
            ProbeSerializer(one).data
            for one in self.filter_queryset(self.get_queryset()).iterator(chunk_size=500)
        )
        form = request.query_params.get("download", "") or "json"
        return attachment(rows, PROBE_COLUMNS, form, "probes")

    @extend_schema(
        request={"application/yaml": OpenApiTypes.STR}, responses=BlackboxSerializer, filters=False
    )
    @action(
        detail=False,
        methods=["post"],
        url_path="import/blackbox",
        pagination_class=None,
        filterset_class=None,
    )
    def blackbox(self, request: Request) -> Response:
        """Read a blackbox_exporter module file: kind and config of each module; stores nothing."""
        return Response(read_modules(request._request.body))

    @extend_schema(request=None, responses=PushTokenSerializer)
    @action(detail=True, methods=["post"])
    def push_token(self, request: Request, pk: str) -> Response:
        """Give a probe of kind push another token; the old one ends at once."""
        token = new_push_token(self.get_object(), by=principal_of(request))
        return Response({"push_token": token})

    @extend_schema(request=RunAgentSerializer, responses={202: RunRequestSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str) -> Response:
        """Test the target now from one host; the answer counts nowhere."""
        asked = run_probe(
            self.get_object(),
            by=principal_of(request),
            agent_id=str(parameters.body(request.data).get("agent_id") or ""),
        )
        return Response(RunRequestSerializer(asked).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        request=ProbeTrialSerializer, responses={202: RunRequestSerializer}, filters=False
    )
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def test(self, request: Request) -> Response:
        """Run a probe once that is not stored."""
        fields = parameters.body(request.data)
        asked = run_unsaved(
            by=principal_of(request), fields=fields, agent_id=str(fields.get("agent_id") or "")
        )
        return Response(RunRequestSerializer(asked).data, status=status.HTTP_202_ACCEPTED)

    def _answer(self, probe: Probe) -> Response:
        """Answer with one probe as it is stored now."""
        return Response(ProbeSerializer(self.get_queryset().get(pk=probe.pk)).data)


class RunRequestViewSet(mixins.RetrieveModelMixin, viewsets.GenericViewSet[ProbeRunRequest]):
    """What became of a test run; kept for an hour."""

    queryset = ProbeRunRequest.objects.none()
    serializer_class = RunRequestSerializer
    lookup_value_regex = "[0-9a-f]{1,24}"
    actions = {"retrieve": "probe.view"}

    def get_queryset(self) -> Any:
        """Return the tenant's own."""
        tenant_id = principal_of(self.request).tenant_id
        return ProbeRunRequest.objects.filter(tenant_id=tenant_id)
