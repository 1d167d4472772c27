"""`put`, `get` and `ls` against a fake server: what they ask for, what they leave behind."""

from __future__ import annotations

import grp
import hashlib
import io
import json
import os
import pwd
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_client.commands import file_store, files
from agent_client.protocol.transfers import CHUNK_DIGEST_HEADER, MAX_CHUNK_BYTES
from tests.agent_client.commands.conftest import Answer, FakeServer, Request

FINISHED = {"X-Log-Size": "0", "X-Log-Offset": "0", "X-Log-Complete": "true"}


class Far:
    """A server that keeps what is put, and runs every task at once to its end."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.stored = bytearray()
        self.task: dict[str, Any] = {"id": 7, "status": "completed", "exit_code": 0}
        self.faults: list[Answer] = []
        server.answer("GET agents/", {"results": [{"id": "a1", "name": "web"}]})
        self.unfinished: list[dict[str, Any]] = []
        server.routes["GET files/"] = lambda _: Answer({"results": self.unfinished})
        server.routes["POST files/"] = self._make
        server.routes["GET files/f1/"] = lambda _: Answer({"id": "f1", "next": len(self.stored)})
        server.routes["PUT files/f1/content/"] = self._put
        server.routes["GET files/f1/content/"] = self._take
        server.routes["POST tasks/"] = lambda _: Answer(self.task, 201)
        server.routes["POST tasks/fan_out/"] = lambda _: Answer([self.task, {"id": 8}], 201)
        server.routes["GET tasks/7/"] = lambda _: Answer(self.task)
        server.answer("GET tasks/7/log/", b"", headers=FINISHED)

    def asked(self, route: str) -> list[Request]:
        """Return the requests of one route."""
        return [one for one in self.server.requests if f"{one.method} {one.path}" == route]

    def holds(self, data: bytes) -> None:
        """Let the task have fetched a file."""
        self.stored[:] = data
        digest = hashlib.sha256(data).hexdigest()
        self.task["file"] = {"id": "f1", "size_bytes": len(data), "sha256": digest}

    def _make(self, _: Request) -> Answer:
        return Answer({"id": "f1", "next": 0}, 201)

    def _put(self, request: Request) -> Answer:
        if self.faults:
            return self.faults.pop(0)
        assert hashlib.sha256(request.body).hexdigest() == request.headers[CHUNK_DIGEST_HEADER]
        offset = int(request.query["offset"])
        if offset > len(self.stored):
            return Answer({"code": "offset_gap", "detail": "gap", "next": len(self.stored)}, 409)
        self.stored[offset:] = request.body
        return Answer({"next": len(self.stored)})

    def _take(self, request: Request) -> Answer:
        if self.faults:
            return self.faults.pop(0)
        first, last = request.headers["Range"].removeprefix("bytes=").split("-")
        return Answer(bytes(self.stored[int(first) : int(last) + 1]), 206)


def _names() -> list[str]:
    return [one.name for one in Path().iterdir()]


@pytest.fixture
def far(server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Far:
    """Return a server that keeps files, and stand in an empty directory."""
    monkeypatch.setattr(file_store, "FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    return Far(server)


def test_put_sends_the_file_and_submits_a_task_for_the_host(far: Far, run: Callable[..., Any]):
    data = os.urandom(MAX_CHUNK_BYTES + 5)
    Path("a.bin").write_bytes(data)
    done = run("put", "a.bin", "web:/srv/", "--mode", "0600", "--bandwidth", "2.5", "--overwrite")
    assert (done.code, done.out) == (0, "7\n")
    assert bytes(far.stored) == data
    assert far.asked("POST files/")[0].body == {
        "name": "a.bin",
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    task = far.asked("POST tasks/")[0].body
    assert (task["kind"], task["agent_id"]) == ("file_upload", "a1")
    assert task["file"] == {
        "id": "f1",
        "path": "/srv/a.bin",
        "archive": False,
        "overwrite": True,
        "bandwidth_mb": 2.5,
        "mode": "0600",
        "owner": "",
    }


def test_put_goes_on_where_the_server_stands_when_it_was_away_or_lost_something(far, run):
    Path("a.bin").write_bytes(os.urandom(2 * MAX_CHUNK_BYTES))
    gap = Answer({"code": "offset_gap", "detail": "gap", "next": 0}, 409)
    far.faults = [Answer(status=503, body={}), Answer(cut=True), gap]
    assert run("put", "a.bin", "web:/srv/a").code == 0
    assert bytes(far.stored) == Path("a.bin").read_bytes()


def test_put_that_is_started_again_goes_on_with_what_has_arrived(far: Far, run):
    data = os.urandom(2 * MAX_CHUNK_BYTES)
    Path("a.bin").write_bytes(data)
    far.stored[:] = data[:MAX_CHUNK_BYTES]
    facts = {"name": "a.bin", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    far.unfinished = [{"id": "f1", "next": MAX_CHUNK_BYTES, "complete": False, **facts}]
    assert run("put", "a.bin", "web:/srv/a").code == 0
    assert bytes(far.stored) == data
    assert far.asked("POST files/") == []
    asked = far.asked("GET files/")[0].query
    assert {name: str(value) for name, value in facts.items()}.items() <= asked.items()
    assert (asked["complete"], asked["mine"]) == ("false", "true")
    assert [one.query["offset"] for one in far.asked("PUT files/f1/content/")] == [
        str(MAX_CHUNK_BYTES)
    ]


@pytest.mark.parametrize("other", [{"complete": True}, {"sha256": "0" * 64}, {"name": "b"}])
def test_put_takes_no_other_file_for_its_own(far: Far, run, other: dict[str, Any]):
    Path("a.bin").write_bytes(b"data")
    sha256 = hashlib.sha256(b"data").hexdigest()
    facts = {"name": "a.bin", "size_bytes": 4, "sha256": sha256, "complete": False}
    far.unfinished = [{"id": "other", "next": 0, **facts, **other}]
    assert run("put", "a.bin", "web:/srv/a").code == 0
    assert len(far.asked("POST files/")) == 1


def test_put_of_one_file_to_labels_makes_a_task_for_each_host(far: Far, run):
    Path("a").write_text("")
    done = run("put", "a", "/srv/a", "--labels", "zone=b")
    assert (done.code, done.out) == (0, "7\n8\n")
    assert far.asked("POST tasks/fan_out/")[0].body["labels"] == {"zone": "b"}
    assert far.asked("GET agents/") == []


def test_put_preserves_what_the_file_has_here(far: Far, run, monkeypatch):
    Path("a").write_text("")
    Path("a").chmod(0o4751)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run("put", "a", "web:/srv/a", "--preserve").code == 0
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert run("put", "a", "web:/srv/a", "--preserve").code == 0
    assert run("put", "a", "web:/srv/a", "--preserve", "--mode", "0600").code == 0
    sent = [one.body["file"] for one in far.asked("POST tasks/")]
    found = Path("a").stat()
    owner = f"{pwd.getpwuid(found.st_uid).pw_name}:{grp.getgrgid(found.st_gid).gr_name}"
    assert [one["mode"] for one in sent] == ["0751", "0751", "0600"]
    assert [one["owner"] for one in sent] == ["", owner, owner]


def test_get_preserves_what_the_file_has_there(far: Far, run, monkeypatch):
    far.holds(b"data")
    far.task["file"]["preview"] = {"type": "file", "mode": "0640", "owner": "nobody:root"}
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, user, group: given.append((user, group)))
    assert run("get", "web:/srv/x", "--preserve").code == 0
    assert Path("x").stat().st_mode & 0o7777 == 0o640
    assert given == [(pwd.getpwnam("nobody").pw_uid, 0)]
    kinds = [
        (one.body["kind"], one.body["file"].get("head_bytes")) for one in far.asked("POST tasks/")
    ]
    assert kinds == [("file_preview", 0), ("file_download", None)]


def test_get_makes_no_file_of_an_owner_that_is_not_here(far: Far, run, monkeypatch):
    far.holds(b"data")
    far.task["file"]["preview"] = {"type": "file", "mode": "0640", "owner": "no-such:root"}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    done = run("get", "web:/srv/x", "--preserve")
    assert (done.code, "no-such:root" in done.err, Path("x").exists()) == (1, True, False)


def test_put_waits_and_ends_like_the_task(far: Far, run):
    Path("a").write_text("")
    far.task |= {"status": "failed", "exit_code": 1, "reason": "exit"}
    done = run("put", "a", "web:/srv/a", "--wait")
    assert done.code == 1
    assert "exit code 1" in done.err


def test_put_packs_plain_files_and_directories_of_a_directory_only(far: Far, run):
    Path("tree/sub").mkdir(parents=True)
    Path("tree/sub/a").write_text("text")
    Path("tree/sub/b").hardlink_to("tree/sub/a")
    Path("tree/link").symlink_to("/etc/passwd")
    done = run("put", "tree", "web:/srv/tree", "--archive")
    assert (done.code, "left out: tree/link" in done.err) == (0, True)
    with tarfile.open(fileobj=io.BytesIO(bytes(far.stored))) as archive:
        kinds = {one.name: (one.isdir(), one.isreg(), one.size) for one in archive}
    whole = (False, True, 4)
    assert kinds == {"sub": (True, False, 0), "sub/a": whole, "sub/b": whole}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("put", ".", "web:/srv/x"), "is a directory"),
        (("put", "missing", "web:/srv/x"), "No such file"),
        (("put", ".", "web:/srv/x", "--archive", "--preserve"), "does not go with --archive"),
        (("get", "web:/srv/x", "--archive", "--preserve"), "does not go with --archive"),
        (("put", "missing", "srv/x", "--labels", "a=b"), "is no full path"),
        (("get", "web"), "names no host and path"),
        (("ls", ":/srv"), "names no host and path"),
        (("ls", "other:/srv"), "is no host"),
    ],
)
def test_mistake_on_the_command_line_is_named(far: Far, run, arguments, problem):
    done = run(*arguments)
    assert done.code == 2
    assert problem in done.err
    assert far.asked("POST tasks/") == []


def test_name_of_several_hosts_is_not_guessed(far: Far, run):
    hosts = [{"id": "a1", "name": "web"}, {"id": "a2", "name": "web"}]
    far.server.answer("GET agents/", {"results": hosts})
    done = run("ls", "web:/srv")
    assert (done.code, "a1, a2" in done.err) == (2, True)


def test_get_fetches_the_file_and_checks_it(far: Far, run):
    data = os.urandom(MAX_CHUNK_BYTES + 9)
    far.holds(data)
    done = run("get", "web:/srv/log.txt")
    assert (done.code, done.out) == (0, "log.txt\n")
    assert Path("log.txt").read_bytes() == data
    assert _names() == ["log.txt"]
    assert far.asked("POST tasks/")[0].body["kind"] == "file_download"


def test_get_goes_on_with_what_has_arrived_before(far: Far, run):
    data = os.urandom(MAX_CHUNK_BYTES + 9)
    far.holds(data)
    Path(f".x.{hashlib.sha256(data).hexdigest()[:16]}.part").write_bytes(data[:100])
    assert run("get", "web:/srv/x").code == 0
    ranges = [one.headers["Range"] for one in far.asked("GET files/f1/content/")]
    assert ranges == [f"bytes=100-{len(data) - 1}"]
    assert Path("x").read_bytes() == data


def test_get_keeps_nothing_that_is_not_what_was_sent(far: Far, run):
    far.holds(b"right")
    far.stored[:] = b"wrong"
    done = run("get", "web:/srv/x")
    assert (done.code, _names()) == (1, [])
    assert "not what was sent" in done.err


def test_get_replaces_a_local_file_only_when_asked(far: Far, run):
    far.holds(b"new")
    Path("x").write_text("old")
    refused = run("get", "web:/srv/x")
    assert (refused.code, far.asked("POST tasks/")) == (1, [])
    assert run("get", "web:/srv/x", "--overwrite").code == 0
    assert Path("x").read_text() == "new"


def test_get_of_a_directory_is_an_archive(far: Far, run):
    far.holds(b"archive")
    assert run("get", "web:/srv/tree", "--archive").out == "tree.tar\n"
    assert far.asked("POST tasks/")[0].body["file"]["archive"] is True


def test_ls_prints_a_directory_as_a_table(far: Far, run):
    facts = {"size_bytes": 3, "modified_at": 0.0, "mode": "0644", "owner": "root:root"}
    entries = [
        {"name": "sub", "type": "directory", **facts},
        {"name": "a\x1bb", "type": "file", **facts},
    ]
    preview = {"type": "directory", "path": "/srv", "entries": entries, "truncated": True}
    far.task["file"] = {"preview": preview}
    done = run("ls", "web:/srv")
    assert done.code == 0
    assert done.out.splitlines()[1].endswith("sub/")
    assert "a\\x1bb" in done.out
    assert "(there are more)" in done.out
    assert json.loads(run("ls", "web:/srv", "--json").out) == preview


def test_ls_prints_the_head_of_a_file_and_no_binary(far: Far, run):
    file = {"type": "file", "is_binary": False, "head": "one\ntwo\x07", "size_bytes": 8}
    far.task["file"] = {"preview": file}
    assert run("ls", "web:/srv/a").out == "one\ntwo\\x07\n"
    far.task["file"] = {"preview": {**file, "is_binary": True}}
    assert run("ls", "web:/srv/a").out == "8 bytes, no text\n"


def test_ls_says_what_the_host_said_when_it_refuses(far: Far, run):
    far.task |= {"status": "failed", "exit_code": 1, "reason": "exit"}
    refusal = b"policy_denied: not here\n"
    headers = {**FINISHED, "X-Log-Size": str(len(refusal))}
    far.server.routes["GET tasks/7/log/"] = lambda request: Answer(
        refusal[int(request.query.get("offset", 0)) :], headers=headers
    )
    done = run("ls", "web:/etc")
    assert (done.code, "policy_denied: not here" in done.err) == (1, True)


def test_every_verb_of_the_command_line_is_there():
    assert set(files._VERBS) == {"put", "get", "ls"}
