"""A data directory of the test's own, files in it, and a host that holds a transfer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from asgiref.sync import async_to_sync

from agent_client.protocol.transfers import Transfer
from tasks.choices import RUNNING, STARTING
from tasks.files import endpoints
from tasks.files.place import store
from tasks.models import StoredFile, Task
from tasks.services import file_share, host_files
from tasks.services.moves import move
from tasks.services.specs import spec_of
from tasks.services.stored_files import create_file, put_chunk
from tests.agents.asgi_client import Answer, call
from tests.tasks.conftest import fresh

ask = async_to_sync(call)
OCTETS = "application/octet-stream"


def sha(data: bytes) -> str:
    """Return the SHA-256 of bytes in hex."""
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def _own_files(settings, tmp_path):
    """Keep files apart from every other test's, and forget what tokens opened."""
    settings.FILES_DIR = tmp_path / "files"
    settings.FILES_DIR.mkdir()
    host_files.forget()
    file_share.forget()
    endpoints.limit.__init__()


@pytest.fixture
def new_file(principal) -> Callable[..., StoredFile]:
    """Return a function that stores a whole file of a person."""

    def make(data: bytes = b"hello", name: str = "a.txt") -> StoredFile:
        file = create_file(principal=principal, fields={"name": name, "size_bytes": len(data)})
        if data:
            put_chunk(file, offset=0, data=data, sha256=sha(data), by=principal)
        return StoredFile.objects.get(pk=file.pk)

    return make


@dataclass
class Sender:
    """Speaks for the host that runs a task of a file kind."""

    task: Task
    transfer: Transfer

    def ask(self, method: str, rest: str = "", body: object = b"", **more: object) -> Answer:
        """Send one request with the transfer's token."""
        head = {"token": self.transfer.token, **more}
        return ask(method, f"/api/v1/transfers/{self.transfer.id}{rest}", body, **head)

    def put(self, data: bytes, offset: int = 0, *, digest: str = "") -> Answer:
        """Send a chunk."""
        headers = {"content-type": OCTETS, "x-chunk-sha256": digest or sha(data)}
        return self.ask("PUT", f"/content?offset={offset}", data, headers=headers)

    def end(self, data: bytes, **facts: object) -> Answer:
        """Say what the whole must come to."""
        body = {"size_bytes": len(data), "sha256": sha(data), **facts}
        return self.ask("POST", "/end", body)

    def received(self) -> int:
        """Return how much has arrived of what the host sends."""
        return store().received(self.task.transfer.stored_file_id)


@pytest.fixture
def running(submit, host) -> Callable[..., Sender]:
    """Return a function that submits a task of a file kind which its host then runs."""

    def make(kind: str = "file_download", **file: object) -> Sender:
        fields = {"kind": kind, "agent_id": host.agent.pk, "file": {"path": "/srv/x", **file}}
        task = submit(name="", template_type="", **fields)
        for to in (STARTING, RUNNING):
            assert move(fresh(task), to=to, kind="test")
        task = fresh(task)
        transfer = spec_of(task).transfer
        assert transfer is not None
        return Sender(task, transfer)

    return make
