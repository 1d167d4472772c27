"""The shape of what a task of a file kind moves, in requests and in answers."""

from __future__ import annotations

from typing import Any

import msgspec
from rest_framework import serializers

from agent_client.protocol.transfers import MAX_BANDWIDTH_MB
from tasks.choices import Kind
from tasks.files.panel import preview_of
from tasks.files.place import store
from tasks.models import FileTransfer, Task


class FileRequestSerializer(serializers.Serializer[Any]):
    """What a submission says about the file; for the schema, the service checks."""

    id = serializers.CharField(required=False, help_text="Of the file to send")
    path = serializers.CharField(help_text="Absolute, on the host")
    archive = serializers.BooleanField(default=False)
    overwrite = serializers.BooleanField(default=False)
    mode = serializers.CharField(required=False, allow_null=True, help_text="Such as 0644")
    owner = serializers.CharField(default="", allow_blank=True, help_text="user or user:group")
    bandwidth_mb = serializers.FloatField(default=0, help_text="MB per second, 0 = no limit")
    head_bytes = serializers.IntegerField(default=64 * 1024)
    tail_bytes = serializers.IntegerField(default=0)


class BandwidthSerializer(serializers.Serializer[Any]):
    """Another limit for a transfer; for the schema, the service checks."""

    bandwidth_mb = serializers.FloatField(
        min_value=0, max_value=MAX_BANDWIDTH_MB, help_text="MB per second, 0 = no limit"
    )


class TaskFileSerializer(serializers.Serializer[Any]):
    """What a task moves, and how far that is."""

    id = serializers.CharField(allow_null=True, help_text="Of the file here, once it is whole")
    name = serializers.CharField(help_text="Of the file here")
    path = serializers.CharField()
    state = serializers.ChoiceField(choices=["incomplete", "complete", "removed"])
    next = serializers.IntegerField(help_text="Bytes of it on the server")
    size_bytes = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField()
    options = serializers.DictField()
    preview = serializers.DictField(allow_null=True)


def shown_file(task: Task) -> dict[str, Any] | None:
    """Return what a task moves as its detail shows it, None for a script."""
    if not task.moves_a_file:
        return None
    transfer = FileTransfer.objects.select_related("stored_file").get(task_id=task.pk)
    file = transfer.stored_file
    shown = {"path": transfer.path, "options": transfer.options, "preview": None}
    if file is None:
        gone = {"id": None, "name": "", "next": 0, "size_bytes": None, "sha256": ""}
        return {**shown, **gone, "state": "removed"}
    preview = preview_of(file) if task.kind == Kind.FILE_PREVIEW else None
    return {
        **shown,
        "id": file.pk if file.complete else None,
        "name": file.name,
        "state": "complete" if file.complete else "incomplete",
        "next": store().received(file.pk),
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "preview": msgspec.to_builtins(preview) if preview is not None else None,
    }
