"""Files through the whole platform: to a host and from it, as tasks of real agents."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from agent_client.protocol.transfers import (
    CHUNK_DIGEST_HEADER,
    MAX_CHUNK_BYTES,
    POLICY_DENIED_EXIT,
)
from tests.e2e.stack import Stack, running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("files")]


class Files:
    """A stack whose one host may use one directory."""

    def __init__(self, stack: Stack, root: Path) -> None:
        self.stack = stack
        self.root = root
        state = stack.directory / "agent-host1"
        state.mkdir(mode=0o700)
        policy = state / "policy.yaml"
        policy.write_text(f"directories: [{json.dumps(str(root))}]\n")
        policy.chmod(0o600)
        self.agent_id = stack.start_agent("host1")

    def store(self, data: bytes) -> str:
        """Bring a file to the server and return its id."""
        sha256 = hashlib.sha256(data).hexdigest()
        made = self.stack.post(
            "/api/v1/files/", {"name": "f", "size_bytes": len(data), "sha256": sha256}
        )
        assert made.status_code == 201, made.text
        for offset in range(0, len(data), MAX_CHUNK_BYTES):
            self._put(made.json()["id"], offset, data[offset : offset + MAX_CHUNK_BYTES])
        return str(made.json()["id"])

    def _put(self, file_id: str, offset: int, chunk: bytes) -> None:
        answer = requests.put(
            f"{self.stack.url}/api/v1/files/{file_id}/content/?offset={offset}",
            data=chunk,
            headers={
                **self.stack.credentials,
                CHUNK_DIGEST_HEADER: hashlib.sha256(chunk).hexdigest(),
                "Content-Type": "application/octet-stream",
            },
            timeout=60,
        )
        assert answer.status_code == 200, answer.text

    def start(self, kind: str, **file: object) -> int:
        """Submit a task of a file kind and return its id."""
        body = {"kind": kind, "agent_id": self.agent_id, "file": file}
        answer = self.stack.post("/api/v1/tasks/", body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def run(self, kind: str, **file: object) -> dict[str, Any]:
        """Do the same and wait for its end."""
        return self.stack.wait_final(self.start(kind, **file), seconds=60)

    def take(self, task: dict[str, Any]) -> bytes:
        """Return the content that a task has fetched."""
        return self.stack.get(f"/api/v1/files/{task['file']['id']}/content/").content


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    """One installation for all of these tests."""
    root = tmp_path_factory.mktemp("root")
    with running_stack(tmp_path_factory.mktemp("files")) as stack:
        yield Files(stack, root)


def log_of(files: Files, task: dict[str, Any]) -> str:
    return files.stack.log(task["id"]).decode()


def test_file_goes_up_and_comes_down_unchanged(files: Files) -> None:
    data = os.urandom(9 * 1024 * 1024 + 17)
    target = files.root / "deep" / "er" / "data.bin"
    up = files.run("file_upload", id=files.store(data), path=str(target), mode="0640")
    assert up["status"] == "completed", log_of(files, up)
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in target.parent.iterdir()] == ["data.bin"]
    down = files.run("file_download", path=str(target))
    assert down["status"] == "completed", log_of(files, down)
    assert files.take(down) == data


def test_directory_is_shown_packed_and_unpacked(files: Files) -> None:
    tree = files.root / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_text("你好\n", encoding="gb18030")
    (tree / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (tree / "sub" / "run.sh").chmod(0o755)
    (tree / "link").symlink_to("/etc/passwd")
    shown = files.run("file_preview", path=str(tree))
    names = [one["name"] for one in shown["file"]["preview"]["entries"]]
    assert names == ["sub", "a.txt", "link"]
    text = files.run("file_preview", path=str(tree / "a.txt"))["file"]["preview"]
    assert (text["encoding"], text["head"]) == ("gb18030", "你好\n")
    packed = files.run("file_download", path=str(tree), archive=True)
    assert packed["status"] == "completed", log_of(files, packed)
    assert "left out: ./link" in log_of(files, packed)
    copy = files.root / "copy"
    up = files.run("file_upload", id=files.store(files.take(packed)), path=str(copy), archive=True)
    assert up["status"] == "completed", log_of(files, up)
    found = sorted(str(one.relative_to(copy)) for one in copy.rglob("*"))
    assert found == ["a.txt", "sub", "sub/run.sh"]
    assert os.access(copy / "sub" / "run.sh", os.X_OK)


@pytest.mark.parametrize("path", ["/etc/passwd", "{state}/identity.json", "{root}/out/passwd"])
def test_what_the_policy_does_not_allow_is_refused(files: Files, path: str) -> None:
    link = files.root / "out"
    if not link.is_symlink():
        link.symlink_to("/etc")
    real = path.format(state=files.stack.directory / "agent-host1", root=files.root)
    task = files.run("file_download", path=real)
    assert task["status"] == "failed"
    code = {1: "path_unusable", POLICY_DENIED_EXIT: "policy_denied"}[task["exit_code"]]
    assert log_of(files, task).startswith(f"{code}: ")


def test_existing_file_is_replaced_only_when_asked(files: Files) -> None:
    target = files.root / "kept.txt"
    target.write_text("first")
    file_id = files.store(b"second")
    refused = files.run("file_upload", id=file_id, path=str(target))
    assert (refused["status"], target.read_text()) == ("failed", "first")
    assert "file_exists" in log_of(files, refused)
    files.run("file_upload", id=file_id, path=str(target), overwrite=True)
    assert target.read_text() == "second"
