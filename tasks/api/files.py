"""REST endpoints of files: made, filled in chunks, shown, taken and deleted."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import BaseParser, FormParser, JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from agent_client.protocol.transfers import CHUNK_DIGEST_HEADER, MAX_CHUNK_BYTES
from dialer_platform.accounts.principal import principal_of
from dialer_platform.errors import Conflict, Invalid, TooLarge
from tasks.api.file_answers import answer_content
from tasks.files.place import store
from tasks.filters import StoredFileFilter
from tasks.models import StoredFile
from tasks.querysets import StoredFileQuerySet
from tasks.services import stored_files
from tasks.services.stored_files import OffsetGap

DIGEST = OpenApiParameter(
    CHUNK_DIGEST_HEADER, str, OpenApiParameter.HEADER, required=True, description="Of the chunk"
)
OFFSET = OpenApiParameter("offset", int, description="Where the chunk begins, by default 0")
RANGE = OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range of bytes")


class OctetParser(BaseParser):
    """Leaves the body as bytes."""

    media_type = "application/octet-stream"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the body, at most one byte more than a chunk may have."""
        return stream.read(MAX_CHUNK_BYTES + 1)


class StoredFileSerializer(serializers.ModelSerializer[StoredFile]):
    """A file in answers; `next` is where an upload goes on."""

    next = serializers.SerializerMethodField()
    chunk_bytes = serializers.SerializerMethodField()
    created_by = serializers.SerializerMethodField()

    class Meta:
        model = StoredFile
        fields = [
            "id",
            "name",
            "size_bytes",
            "sha256",
            "next",
            "complete",
            "chunk_bytes",
            "created_by",
            "created_time",
            "expires_time",
        ]
        read_only_fields = fields

    def get_next(self, file: StoredFile) -> int:
        """Return how many bytes have arrived."""
        return store().received(file.pk)

    def get_chunk_bytes(self, file: StoredFile) -> int:
        """Return how large a chunk may be."""
        return MAX_CHUNK_BYTES

    def get_created_by(self, file: StoredFile) -> str | None:
        """Return the name of who made it or asked for it."""
        return file.created_by.get_username() if file.created_by else None


class NewFileSerializer(serializers.Serializer[Any]):
    """What a new file says; for the schema, the service checks."""

    name = serializers.CharField(max_length=255)
    size_bytes = serializers.IntegerField(min_value=0)
    sha256 = serializers.CharField(required=False, allow_blank=True)


class NextSerializer(serializers.Serializer[Any]):
    """Where a file goes on."""

    next = serializers.IntegerField()


class FileViewSet(
    mixins.RetrieveModelMixin, mixins.ListModelMixin, viewsets.GenericViewSet[StoredFile]
):
    """Bring files to the server in chunks, take them from it, delete them."""

    queryset = StoredFile.objects.none()
    serializer_class = StoredFileSerializer
    parser_classes = [JSONParser, FormParser, OctetParser]
    lookup_value_regex = "[0-9a-f]{1,32}"
    filter_backends = [DjangoFilterBackend]
    filterset_class = StoredFileFilter
    actions = {
        "list": "file.view",
        "retrieve": "file.view",
        "content": "file.view",
        "put_content": "file.write",
        "create": "file.write",
        "destroy": "file.write",
    }

    def get_queryset(self) -> StoredFileQuerySet:
        """Return the files of the caller's tenant."""
        found = StoredFile.objects.visible_to(principal_of(self.request))
        return found.select_related("created_by")

    @extend_schema(request=NewFileSerializer, responses={201: StoredFileSerializer})
    def create(self, request: Request) -> Response:
        """Announce a file; its content follows in chunks of at most `chunk_bytes`."""
        fields = request.data
        if not isinstance(fields, dict):
            raise Invalid(_("Send a JSON object."))
        file = stored_files.create_file(principal=principal_of(request), fields=fields)
        return Response(StoredFileSerializer(file).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a file; 409 while a task that has not ended needs it."""
        stored_files.delete_file(self.get_object(), by=principal_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        parameters=[RANGE],
        responses={(200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def content(self, request: Request, pk: str) -> HttpResponseBase:
        """Return the content as an attachment, whole or one range of it."""
        file = self.get_object()
        if not file.complete:
            raise Conflict(_("The file has not arrived whole yet."))
        response, is_beginning = answer_content(
            file, request.headers.get("Range", ""), request.headers.get("If-Range", "")
        )
        if is_beginning:
            stored_files.note_download(file, by=principal_of(request))
        return response

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        parameters=[OFFSET, DIGEST],
        responses=NextSerializer,
    )
    @content.mapping.put
    def put_content(self, request: Request, pk: str) -> Response:
        """Store one chunk: a repeat is skipped, a gap is a 409 that says where to go on."""
        file = self.get_object()
        if file.transfers.exclude(task__kind="file_upload").exists():
            raise Conflict(_("Only a host fills this file."))
        data = request.data
        if not isinstance(data, bytes):
            raise Invalid(_("Send the chunk as application/octet-stream."))
        if len(data) > MAX_CHUNK_BYTES:
            raise TooLarge(_("A chunk may have at most %(n)d bytes.") % {"n": MAX_CHUNK_BYTES})
        digest = request.headers.get(CHUNK_DIGEST_HEADER, "")
        try:
            following = stored_files.put_chunk(
                file,
                offset=_offset(request),
                data=data,
                sha256=digest,
                by=principal_of(request),
            )
        except OffsetGap as gap:
            body = {"code": gap.code, "detail": gap.detail, "fields": gap.fields}
            return Response({**body, "next": gap.next}, status=gap.status)
        return Response({"next": following})


def _offset(request: Request) -> int:
    """Return where the chunk begins; raises Invalid."""
    text = request.query_params.get("offset", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        sentence = _("Must be a whole number of bytes.")
        raise Invalid(_("The request is not valid."), fields={"offset": [sentence]})
    return int(text)
