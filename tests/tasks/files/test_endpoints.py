"""The hosts' side of transfers over HTTP: chunks, gaps, repeats, digests and tokens."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agents.models import Agent
from dialer_platform.accounts.models import AuditEvent
from tasks.choices import CANCELED, CANCELING, Status
from tasks.files.preview import MAX_PREVIEW_BYTES
from tasks.files.store import FileStore
from tasks.files.tokens import token_of
from tasks.models import StoredFile, Task
from tasks.services import file_share, host_files
from tasks.services.moves import move
from tests.tasks.conftest import fresh
from tests.tasks.files.conftest import ask, sha

pytestmark = pytest.mark.django_db(transaction=True)

PREVIEW = b'{"type":"directory","path":"/srv","entries":[{"name":"a","type":"file"}]}'


@pytest.fixture
def download(running):
    return running("file_download")


@pytest.fixture
def upload(running, new_file):
    return running("file_upload", id=new_file(b"0123456789").pk)


def test_chunks_and_the_end_make_a_whole_file(download):
    assert download.put(b"hello ").json() == {"next": 6}
    assert download.put(b"world", 6).json() == {"next": 11}
    answer = download.end(b"hello world")
    assert answer.json() == {
        "next": 11,
        "size_bytes": 11,
        "sha256": sha(b"hello world"),
        "complete": True,
    }


def test_repeated_chunk_is_skipped_and_told_what_comes_next(download):
    download.put(b"hello ")
    assert download.put(b"hello ").json() == {"next": 6}
    assert download.put(b"lo world", 3).json() == {"next": 11}
    assert download.end(b"hello world").status == 200


def test_gap_is_a_conflict_that_says_where_to_go_on(download):
    download.put(b"abc")
    answer = download.put(b"late", 9)
    body = answer.json()
    assert (answer.status, body["code"], body["next"]) == (409, "offset_gap", 3)
    assert body["fields"] == {"offset": ["3"]}


def test_chunk_with_a_wrong_digest_is_refused_and_not_kept(download):
    answer = download.put(b"abc", digest=sha(b"abd"))
    assert (answer.status, answer.json()["code"]) == (400, "digest_mismatch")
    assert download.received() == 0


def test_chunk_without_a_digest_is_refused_by_name(download):
    answer = download.put(b"abc", digest="none")
    assert (answer.status, list(answer.json()["fields"])) == (400, ["X-Chunk-Sha256"])


def test_end_with_missing_bytes_says_where_to_go_on(download):
    download.put(b"abc")
    answer = download.end(b"abcdef")
    assert (answer.status, answer.json()["code"], answer.json()["next"]) == (409, "offset_gap", 3)


def test_end_with_a_wrong_digest_begins_anew(download):
    download.put(b"abc")
    answer = download.end(b"abc", sha256=sha(b"xyz"))
    assert (answer.status, answer.json()["code"]) == (400, "digest_mismatch")
    assert download.ask("GET").json()["next"] == 0
    download.put(b"abc")
    assert download.end(b"abc").status == 200


def test_end_said_twice_changes_nothing(download):
    download.put(b"abc")
    first = download.end(b"abc")
    assert download.end(b"abc").json() == first.json()
    assert download.put(b"abc").json() == {"next": 3}


def test_arrival_from_a_host_is_in_the_audit_trail(download, host):
    download.put(b"abc")
    download.end(b"abc")
    entry = AuditEvent.objects.get(action="file.complete")
    assert (entry.actor, entry.detail["sha256"]) == (f"agent:{host.agent.pk}", sha(b"abc"))


def test_whole_file_is_not_read_again_for_a_repeated_end(download, monkeypatch):
    download.put(b"abc")
    download.end(b"abc")
    monkeypatch.setattr(FileStore, "finish", lambda *args: pytest.fail("the file was read"))
    assert download.end(b"abc").json()["complete"] is True
    assert download.end(b"abc", sha256="").status == 200
    for other in ({"sha256": sha(b"xyz")}, {"size_bytes": 4}):
        answer = download.end(b"abc", **other)
        assert (answer.status, answer.json()["code"]) == (400, "digest_mismatch")
    assert download.ask("GET").json()["next"] == 3


def test_end_that_is_no_end_is_malformed(download):
    answer = download.ask("POST", "/end", {"size_bytes": "x"})
    assert (answer.status, answer.json()["code"]) == (400, "malformed")


def test_state_says_where_a_sender_goes_on(download):
    download.put(b"abc")
    assert download.ask("GET").json() == {
        "next": 3,
        "size_bytes": None,
        "sha256": "",
        "complete": False,
    }


def test_file_over_the_limit_is_refused(download, settings):
    settings.FILE_MAX_BYTES = 4
    answer = download.put(b"hello")
    assert (answer.status, answer.json()["code"]) == (413, "too_large")


def look_again() -> None:
    """Let the server read the database again before the next answer."""
    host_files.forget()
    file_share.forget()


def test_host_fills_no_more_than_its_tenants_share(download, running, settings):
    settings.FILE_TENANT_MAX_BYTES = 10
    other = running("file_download")
    assert (other.put(b"abcd").status, download.put(b"hello ").status) == (200, 200)
    look_again()
    answer = download.put(b"w", 6)
    assert (answer.status, answer.json()["code"]) == (413, "too_large")
    assert download.put(b"hello ").json() == {"next": 6}
    assert other.end(b"abcd").status == 200
    look_again()
    assert download.put(b"w", 6).status == 413


def test_chunk_asks_the_database_for_no_share(download, monkeypatch):
    assert download.put(b"abc").status == 200
    monkeypatch.setattr(file_share, "used_bytes", None)
    assert download.put(b"def", 3).status == 200


def test_full_disk_refuses_a_chunk_and_says_so(download, monkeypatch):
    monkeypatch.setattr("dialer_platform.storage.free_space.MIN_FREE_BYTES", 2**62)
    answer = download.put(b"hello")
    assert (answer.status, answer.json()["code"]) == (503, "disk_full")


def test_host_reads_chunks_with_their_digests(upload):
    answer = upload.ask("GET", "/content?offset=4&limit=3")
    assert (answer.status, answer.body) == (200, b"456")
    assert answer.headers["x-chunk-sha256"] == sha(b"456")


def test_reading_past_the_end_is_empty(upload):
    answer = upload.ask("GET", "/content?offset=10")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "offset=", "limit=1e3"])
def test_wrong_number_is_refused_by_name(upload, query):
    answer = upload.ask("GET", f"/content?{query}")
    assert (answer.status, list(answer.json()["fields"])) == (400, [query.partition("=")[0]])


def test_transfer_has_one_direction(upload, download):
    assert upload.put(b"x").status == 409
    assert download.ask("GET", "/content").status == 409


def test_preview_is_read_before_it_is_kept(running):
    preview = running("file_preview")
    preview.put(PREVIEW)
    assert (preview.end(PREVIEW)).status == 200
    assert StoredFile.objects.get().complete


@pytest.mark.parametrize("junk", [b"[]", b'{"type":"socket"}', b"\xff", b"{"])
def test_preview_that_is_none_is_refused_and_begins_anew(running, junk):
    preview = running("file_preview")
    preview.put(junk)
    answer = preview.end(junk)
    assert (answer.status, answer.json()["code"]) == (400, "malformed")
    assert (preview.received(), StoredFile.objects.get().complete) == (0, False)


def test_preview_is_small(running):
    answer = running("file_preview").put(b"x", MAX_PREVIEW_BYTES)
    assert answer.status == 413


def test_token_opens_no_other_transfer(upload, download):
    path = f"/api/v1/transfers/{download.transfer.id}"
    assert (ask("GET", path, token=upload.transfer.token)).status == 404


def test_token_of_an_older_offer_is_void(download):
    old = download.transfer.token
    Task.objects.filter(pk=download.task.pk).update(offer=download.task.offer + 1)
    answer = download.ask("GET", token=old)
    assert (answer.status, answer.json()["code"]) == (401, "invalid_token")


def test_token_is_void_when_the_task_has_ended(download):
    move(fresh(download.task), to=CANCELED, kind="test")
    host_files.forget()
    answer = download.put(b"x")
    assert (answer.status, answer.json()["code"]) == (409, "task_ended")


@pytest.mark.parametrize("make", ["download", "upload"])
def test_token_of_a_revoked_host_is_void(request, make):
    transfer = request.getfixturevalue(make)
    Agent.objects.filter(pk=transfer.task.agent_id).update(revoked_at=timezone.now())
    host_files.forget()
    answer = transfer.ask("GET")
    assert (answer.status, answer.json()["code"]) == (401, "revoked")


def test_token_serves_while_the_task_is_being_canceled(download):
    move(fresh(download.task), to=CANCELING, kind="test")
    assert download.put(b"x").status == 200


def test_token_opens_nothing_before_the_start(download):
    Task.objects.filter(pk=download.task.pk).update(status=Status.WAITING, phase="offered")
    answer = download.ask("GET")
    assert (answer.status, answer.json()["code"]) == (409, "not_started")


@pytest.mark.parametrize("token", ["", "dpt_x", "dpa_x_y_z", token_of("0" * 24, 1)])
def test_stranger_gets_nothing(download, token):
    answer = download.ask("GET", token=token)
    assert (answer.status, answer.json()["code"]) in {
        (401, "invalid_token"),
        (401, "unauthenticated"),
    }


def test_agents_own_credential_opens_no_transfer(download):
    from agents.services.main_agents import create_main_agent

    _agent, token = create_main_agent(tenant_id="default", name="thief")
    assert download.ask("GET", token=token).status == 401


def test_guessing_tokens_is_slowed_down(download):
    statuses = [download.ask("GET", token="dpt_x").status for _ in range(21)]
    assert (set(statuses[:20]), statuses[20]) == ({401}, 429)
    assert download.ask("GET", token="dpt_x").headers["retry-after"]


@pytest.mark.parametrize("rest", ["/content", "/end", ""])
def test_other_method_is_not_allowed(download, rest):
    assert download.ask("DELETE", rest).status == 405


def test_unknown_path_below_transfers_is_not_answered(download):
    assert download.ask("GET", "/more").status == 404
