"""REST endpoints of tasks."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from dialer_platform.accounts.principal import principal_of
from dialer_platform.errors import Invalid
from tasks.api.file_shapes import BandwidthSerializer
from tasks.api.log_answers import LogQuery, answer_log
from tasks.api.serializers import (
    CancelBatchSerializer,
    SamplesSerializer,
    TaskDetailSerializer,
    TaskRequestSerializer,
    TaskSerializer,
    shape_of,
)
from tasks.filters import TaskFilter
from tasks.models import Task
from tasks.querysets import TaskQuerySet
from tasks.samples import files
from tasks.services.bandwidth import change_bandwidth
from tasks.services.cancel import cancel_task, cancel_tasks
from tasks.services.change import update_task
from tasks.services.fan_out import fan_out
from tasks.services.rerun import rerun_task
from tasks.services.submit import create_task, create_tasks

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key with the same body gives the same task; another body is a 409.",
)
LOG_PARAMETERS = [
    OpenApiParameter("offset", int, description="First byte, in the stream's own offsets if named"),
    OpenApiParameter("limit", int, description="At most so many bytes: 1 MiB, 8 MiB at most"),
    OpenApiParameter("stream", str, enum=["stdout", "stderr"]),
    OpenApiParameter("tail", int, description="The last bytes instead"),
    OpenApiParameter("download", bool, description="As an attachment, whole"),
]


class TaskViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Task]):
    """Submit, list, show, change, cancel and rerun tasks; they are never deleted."""

    queryset = Task.objects.none()
    serializer_class = TaskSerializer
    filterset_class = TaskFilter
    lookup_value_regex = "[0-9]{1,18}"
    ordering_fields = ["id", "name", "priority", "status", "created_time", "start_time", "end_time"]
    ordering = ["-id"]
    actions = {
        "list": "task.view",
        "retrieve": "task.view",
        "log": "task.view",
        "samples": "task.view",
        "create": "task.submit",
        "batch": "task.submit",
        "fan_out": "task.submit",
        "partial_update": "task.change",
        "cancel": "task.cancel",
        "cancel_batch": "task.cancel",
        "rerun": "task.rerun",
        "bandwidth": "task.change",
    }

    def get_queryset(self) -> TaskQuerySet:
        """Return what the caller may see, with all that an answer shows."""
        return Task.objects.visible_to(principal_of(self.request)).shown()

    def get_serializer_class(self) -> type[Any]:
        """Return the request's shape for forms, the answer's for everything else."""
        if self.action in {"create", "batch", "fan_out", "partial_update"}:
            return TaskRequestSerializer
        return TaskDetailSerializer if self.action == "retrieve" else TaskSerializer

    def retrieve(self, request: Request, pk: str) -> Response:
        """Show one task with the ends of its output."""
        return Response(shape_of(TaskDetailSerializer).to_representation(self.get_object()))

    @extend_schema(
        request=TaskRequestSerializer,
        responses={201: TaskDetailSerializer},
        parameters=[IDEMPOTENCY_KEY],
    )
    def create(self, request: Request) -> Response:
        """Submit one task."""
        task = create_task(
            principal=principal_of(request),
            fields=_object(request.data),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        return self._answer(task, status.HTTP_201_CREATED)

    @extend_schema(request=TaskRequestSerializer, responses=TaskDetailSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change name and priority; while not started also everything else."""
        task = self.get_object()
        update_task(task, by=principal_of(request), fields=_object(request.data))
        return self._answer(task, status.HTTP_200_OK)

    @extend_schema(request=None, responses={202: TaskDetailSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop a task with all its processes; 409 when it has ended."""
        task = cancel_task(self.get_object(), by=principal_of(request))
        return self._answer(task, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={201: TaskDetailSerializer})
    @action(detail=True, methods=["post"])
    def rerun(self, request: Request, pk: str) -> Response:
        """Submit the same request again as a new task."""
        task = rerun_task(self.get_object(), by=principal_of(request))
        return self._answer(task, status.HTTP_201_CREATED)

    @extend_schema(request=BandwidthSerializer, responses={202: TaskDetailSerializer})
    @action(detail=True, methods=["post"])
    def bandwidth(self, request: Request, pk: str) -> Response:
        """Change how fast a transfer may be; 409 when it has ended."""
        wanted = _object(request.data).get("bandwidth_mb")
        task = self.get_object()
        change_bandwidth(task, by=principal_of(request), bandwidth_mb=wanted)
        return self._answer(task, status.HTTP_202_ACCEPTED)

    @extend_schema(
        request=TaskRequestSerializer(many=True),
        responses={201: TaskSerializer(many=True)},
        parameters=[IDEMPOTENCY_KEY],
        filters=False,
    )
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def batch(self, request: Request) -> Response:
        """Submit up to 1,000 tasks, all or none."""
        tasks = create_tasks(
            principal=principal_of(request),
            items=cast(Any, request.data),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        return self._answer_many(tasks, status.HTTP_201_CREATED)

    @extend_schema(
        request=TaskRequestSerializer,
        responses={201: TaskSerializer(many=True)},
        parameters=[IDEMPOTENCY_KEY],
        filters=False,
    )
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def fan_out(self, request: Request) -> Response:
        """Send one file to every online agent with the labels: a task each, all or none."""
        tasks = fan_out(
            principal=principal_of(request),
            fields=_object(request.data),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        return self._answer_many(tasks, status.HTTP_201_CREATED)

    @extend_schema(
        request=CancelBatchSerializer, responses={202: TaskSerializer(many=True)}, filters=False
    )
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def cancel_batch(self, request: Request) -> Response:
        """Cancel those of the named tasks that have not ended."""
        ids = _object(request.data).get("ids")
        tasks = cancel_tasks(cast(Any, ids), by=principal_of(request))
        return self._answer_many(tasks, status.HTTP_202_ACCEPTED)

    @extend_schema(
        parameters=LOG_PARAMETERS,
        responses={(200, "text/plain"): OpenApiResponse(OpenApiTypes.BINARY, "raw bytes")},
    )
    @action(detail=True, methods=["get"], filterset_class=None)
    def log(self, request: Request, pk: str) -> HttpResponseBase:
        """Return raw bytes of the log in order of arrival, or of one stream."""
        return answer_log(self.get_object(), LogQuery.parse(request.query_params))

    @extend_schema(responses=SamplesSerializer, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def samples(self, request: Request, pk: str) -> Response:
        """Return what the task used over time; empty for a task of a few seconds."""
        task = self.get_object()
        found = {"task_id": task.pk, "samples": files.read(task.pk)}
        return Response(SamplesSerializer(found).data)

    def _answer(self, task: Task, code: int) -> Response:
        """Answer with one task as it is stored now."""
        fresh = self.get_queryset().get(pk=task.pk)
        return Response(shape_of(TaskDetailSerializer).to_representation(fresh), status=code)

    def _answer_many(self, tasks: list[Task], code: int) -> Response:
        """Answer with tasks as they are stored now, in the given order."""
        found = self.get_queryset().in_bulk([task.pk for task in tasks])
        fresh = [found[task.pk] for task in tasks]
        serializer = TaskSerializer(fresh, many=True, context=self.get_serializer_context())
        return Response(serializer.data, status=code)


def _object(data: Any) -> dict[str, Any]:
    """Return the request's JSON object, or a form's fields; raises Invalid for anything else."""
    if hasattr(data, "dict"):
        return dict(data.dict())
    if not isinstance(data, dict):
        raise Invalid(_("Send a JSON object."))
    return data
