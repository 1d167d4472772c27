"""REST of files for people: announced, filled, resumed, taken, deleted, and closed to others."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest

from dialer_platform.accounts.models import AuditEvent
from tasks.files.place import store
from tasks.logs.space import ensure_room
from tasks.models import StoredFile
from tests.tasks.conftest import content_of
from tests.tasks.files.conftest import OCTETS, sha

pytestmark = pytest.mark.django_db

URL = "/api/v1/files/"


@pytest.fixture
def client(api_client, operator_user, delivered):
    return api_client(operator_user)


@pytest.fixture
def announce(client):
    def make(data: bytes, **more: object) -> str:
        body = {"name": "report.csv", "size_bytes": len(data), **more}
        answer = client.post(URL, body, format="json")
        assert answer.status_code == 201, answer.content
        return answer.json()["id"]

    return make


def put(client, file_id: str, data: bytes, offset: int = 0, digest: str | None = None):
    """Send a chunk."""
    head = {"x-chunk-sha256": sha(data) if digest is None else digest}
    path = f"{URL}{file_id}/content/?offset={offset}"
    return client.put(path, data, content_type=OCTETS, headers=head)


def test_new_file_says_where_to_begin_and_how_much_at_once(client):
    answer = client.post(URL, {"name": "a.txt", "size_bytes": 3}, format="json").json()
    assert (answer["next"], answer["chunk_bytes"], answer["complete"]) == (0, 4 * 1024**2, False)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "../x"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": ".."}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "a\u202etxt.exe"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": 7}, "name"),
        ({"size_bytes": -1}, "size_bytes"),
        ({"size_bytes": "3"}, "size_bytes"),
        ({"size_bytes": True}, "size_bytes"),
        ({"size_bytes": None}, "size_bytes"),
        ({"sha256": "abc"}, "sha256"),
        ({"sha256": 5}, "sha256"),
    ],
)
def test_wrong_field_is_named(client, wrong, field):
    body = json.dumps({"name": "a", "size_bytes": 1, **wrong})
    answer = client.post(URL, body, content_type="application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


def test_too_large_file_is_refused_at_once(client, settings):
    settings.FILE_MAX_BYTES = 10
    answer = client.post(URL, {"name": "a", "size_bytes": 11}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_files_of_a_tenant_are_limited_together_from_their_announcement_on(
    client, settings, api_client, stranger
):
    settings.FILE_TENANT_MAX_BYTES = 10
    sizes = [6, 4, 1, 0]
    answers = [client.post(URL, {"name": "a", "size_bytes": n}, format="json") for n in sizes]
    assert [answer.status_code for answer in answers] == [201, 201, 413, 201]
    assert answers[2].json()["code"] == "too_large"
    theirs = api_client(stranger).post(URL, {"name": "a", "size_bytes": 6}, format="json")
    assert theirs.status_code == 201


def test_deleted_file_makes_room_for_another(client, settings, announce):
    settings.FILE_TENANT_MAX_BYTES = 5
    client.delete(f"{URL}{announce(b'12345')}/")
    assert client.post(URL, {"name": "a", "size_bytes": 5}, format="json").status_code == 201


def test_number_of_a_tenants_files_is_limited(client, monkeypatch):
    monkeypatch.setattr("tasks.services.file_share.MAX_FILES_PER_TENANT", 1)
    answers = [client.post(URL, {"name": "a", "size_bytes": 1}, format="json") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 413]


def test_full_disk_refuses_a_new_file_and_says_why(client, monkeypatch):
    monkeypatch.setattr("dialer_platform.storage.free_space.MIN_FREE_BYTES", 2**62)
    answer = client.post(URL, {"name": "a", "size_bytes": 1}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (503, "disk_full")


def test_disk_that_is_too_full_for_files_still_takes_tasks(client, monkeypatch):
    usage = SimpleNamespace(free=512 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    monkeypatch.setattr("tasks.logs.space._last", (float("-inf"), True))
    ensure_room()
    answer = client.post(URL, {"name": "a", "size_bytes": 1}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (503, "disk_full")


def test_chunks_complete_the_file(client, announce):
    file_id = announce(b"hello world")
    assert put(client, file_id, b"hello ").json() == {"next": 6}
    assert put(client, file_id, b"world", 6).json() == {"next": 11}
    shown = client.get(f"{URL}{file_id}/").json()
    assert (shown["complete"], shown["next"], shown["sha256"]) == (True, 11, sha(b"hello world"))


def test_interrupted_upload_goes_on_where_it_stopped(client, announce):
    file_id = announce(b"hello world")
    put(client, file_id, b"hello ")
    offset = client.get(f"{URL}{file_id}/").json()["next"]
    assert put(client, file_id, b"hello world"[offset:], offset).json() == {"next": 11}


def test_gap_says_where_to_go_on(client, announce):
    file_id = announce(b"hello world")
    answer = put(client, file_id, b"world", 6)
    assert (answer.status_code, answer.json()["code"], answer.json()["next"]) == (
        409,
        "offset_gap",
        0,
    )


@pytest.mark.parametrize("digest", ["", "zz"])
def test_chunk_needs_a_digest(client, announce, digest):
    answer = put(client, announce(b"abc"), b"abc", digest=digest)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["X-Chunk-Sha256"])


def test_damaged_chunk_is_refused(client, announce):
    answer = put(client, announce(b"abc"), b"abc", digest=sha(b"x"))
    assert (answer.status_code, answer.json()["code"]) == (400, "digest_mismatch")


def test_file_that_is_not_what_was_announced_begins_anew(client, announce):
    file_id = announce(b"abc", sha256=sha(b"abd"))
    assert put(client, file_id, b"abc").json()["code"] == "digest_mismatch"
    assert client.get(f"{URL}{file_id}/").json()["next"] == 0


def test_more_bytes_than_announced_are_refused(client, announce):
    assert put(client, announce(b"abc"), b"abcd").status_code == 413


def test_wrong_offset_is_named(client, announce):
    answer = put(client, announce(b"abc"), b"abc", offset="x")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["offset"])


def test_chunk_that_is_no_bytes_is_refused(client, announce):
    answer = client.put(f"{URL}{announce(b'abc')}/content/", {"a": 1}, format="json")
    assert answer.status_code == 400


def test_empty_file_is_complete_at_once(client, announce):
    assert client.get(f"{URL}{announce(b'')}/").json()["complete"] is True


def test_download_is_an_attachment_that_nothing_runs(client, new_file):
    file = new_file(b"<script>", "报告.html")
    answer = client.get(f"{URL}{file.pk}/content/")
    assert content_of(answer) == b"<script>"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''%E6")
    assert (answer["X-Content-Type-Options"], answer["Content-Length"]) == ("nosniff", "8")
    assert answer["Content-Security-Policy"].startswith("sandbox")


@pytest.mark.parametrize(
    ("asked", "status", "got", "named"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_range_is_answered_as_http_wants_it(client, new_file, asked, status, got, named):
    file = new_file(b"0123456789")
    answer = client.get(f"{URL}{file.pk}/content/", headers={"range": asked})
    assert (answer.status_code, content_of(answer)) == (status, got)
    assert answer.get("Content-Range") == named


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=5-3", "bytes=-0", "bytes=-"])
def test_range_outside_of_the_file_is_refused(client, new_file, asked):
    file = new_file(b"0123456789")
    answer = client.get(f"{URL}{file.pk}/content/", headers={"range": asked})
    assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */10")


def test_range_of_another_version_is_answered_whole(client, new_file):
    file = new_file(b"0123456789")
    head = {"range": "bytes=2-4", "if-range": '"other"'}
    assert client.get(f"{URL}{file.pk}/content/", headers=head).status_code == 200


def test_incomplete_file_cannot_be_taken(client, announce):
    assert client.get(f"{URL}{announce(b'abc')}/content/").status_code == 409


def test_deleted_file_is_gone_from_the_disk_too(
    client, new_file, django_capture_on_commit_callbacks
):
    file = new_file()
    with django_capture_on_commit_callbacks(execute=True):
        assert client.delete(f"{URL}{file.pk}/").status_code == 204
    assert client.get(f"{URL}{file.pk}/").status_code == 404
    assert not store().path(file.pk).exists()


def test_file_that_a_task_needs_is_not_deleted(client, new_file, submit):
    file = new_file()
    submit(kind="file_upload", file={"id": file.pk, "path": "/srv/x"})
    answer = client.delete(f"{URL}{file.pk}/")
    assert (answer.status_code, answer.json()["code"]) == (409, "file_in_use")


def test_only_its_host_fills_a_file_that_is_fetched(client, running):
    sender = running("file_download")
    assert put(client, sender.task.transfer.stored_file_id, b"").status_code == 409


def test_viewer_takes_but_does_not_write(api_client, viewer_user, new_file):
    viewer, file = api_client(viewer_user), new_file()
    assert viewer.get(f"{URL}{file.pk}/content/").status_code == 200
    assert viewer.post(URL, {"name": "a", "size_bytes": 1}, format="json").status_code == 403
    assert put(viewer, file.pk, b"x").status_code == 403
    assert viewer.delete(f"{URL}{file.pk}/").status_code == 403


def test_file_of_another_tenant_is_not_there(api_client, stranger, new_file):
    other, file = api_client(stranger), new_file()
    path = f"{URL}{file.pk}/"
    answers = [other.get(path), other.get(f"{path}content/"), other.delete(path)]
    assert [answer.status_code for answer in (*answers, put(other, file.pk, b"x"))] == [404] * 4
    assert other.get(URL).json()["count"] == 0


def test_own_unfinished_file_is_found_by_its_content(client, api_client, admin_user, announce):
    facts = {"name": "report.csv", "size_bytes": 3, "sha256": sha(b"abc")}
    mine = announce(b"abc", sha256=facts["sha256"])
    whole = announce(b"abc", sha256=facts["sha256"])
    put(client, whole, b"abc")
    announce(b"xyz", sha256=sha(b"xyz"))
    api_client(admin_user).post(URL, facts, format="json")  # somebody else's
    query = {**facts, "complete": "false", "mine": "true"}
    assert [one["id"] for one in client.get(URL, query).json()["results"]] == [mine]
    assert client.get(URL, {"mine": "false"}).json()["count"] == 1
    assert client.get(URL, {"complete": "true"}).json()["results"][0]["id"] == whole


def test_everything_is_in_the_audit_trail(client, announce, operator_user):
    file_id = announce(b"abc", sha256=sha(b"abc"))
    put(client, file_id, b"abc")
    put(client, file_id, b"abc")  # repeated, and not complete a second time
    client.get(f"{URL}{file_id}/content/")
    client.get(f"{URL}{file_id}/content/", headers={"range": "bytes=1-"})  # going on, not anew
    client.delete(f"{URL}{file_id}/")
    found = AuditEvent.objects.filter(object_id=file_id).order_by("id")
    assert list(found.values_list("action", flat=True)) == [
        "file.create",
        "file.complete",
        "file.download",
        "file.delete",
    ]
    assert {entry.detail["sha256"] for entry in found} == {sha(b"abc")}
    assert {entry.actor for entry in found} == {operator_user.get_username()}
    assert not StoredFile.objects.exists()
