"""Tasks of the file kinds: what a submission may say, what the host is told, rerun, fan-out."""

from __future__ import annotations

import json

import pytest

from agent_client.protocol.transfers import TRANSFER_SLOTS
from dialer_platform.accounts.models import AuditEvent
from dialer_platform.errors import Conflict
from tasks.choices import OFFERED, QUEUED
from tasks.files.tokens import token_of
from tasks.models import FileTransfer, StoredFile, Task
from tasks.services.rerun import rerun_task
from tasks.services.specs import spec_of
from tasks.waiting import reason_sentence
from tests.tasks.conftest import fresh
from tests.tasks.files.conftest import sha

pytestmark = pytest.mark.django_db

URL = "/api/v1/tasks/"


@pytest.fixture
def client(api_client, operator_user, delivered):
    return api_client(operator_user)


@pytest.fixture
def post(client, host):
    def send(kind: str, file: object, path: str = URL, **more: object):
        body = {"kind": kind, "agent_id": host.agent.pk, "file": file, **more}
        return client.post(path, json.dumps(body), content_type="application/json")

    return send


def test_file_task_needs_no_script_and_books_nothing(post, new_file):
    answer = post("file_upload", {"id": new_file().pk, "path": "/srv/data/a.txt"})
    body = answer.json()
    assert answer.status_code == 201, body
    assert (body["kind"], body["template_type"], body["cpu_cores"]) == ("file_upload", "file", 0)
    assert (body["name"], body["script_content"]) == ("send /srv/data/a.txt", "")
    assert body["file"]["state"] == "complete"


def test_script_has_no_file(client, host):
    fields = {"name": "t", "template_type": "x", "script_content": "true"}
    body = client.post(URL, fields, format="json").json()
    assert (body["kind"], body["file"]) == ("script", None)


def test_nothing_is_fetched_for_a_tenant_that_has_no_room(post, new_file, settings):
    file = new_file(b"hello")
    settings.FILE_TENANT_MAX_BYTES = 4
    answer = post("file_download", {"path": "/srv/x"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not Task.objects.exists()
    assert post("file_upload", {"id": file.pk, "path": "/srv/x"}).status_code == 201


def test_files_to_fetch_are_counted(post, monkeypatch):
    monkeypatch.setattr("tasks.services.file_share.MAX_FILES_PER_TENANT", 1)
    answers = [post("file_download", {"path": f"/srv/{name}"}) for name in "ab"]
    assert [answer.status_code for answer in answers] == [201, 413]


@pytest.mark.parametrize(
    ("file", "field"),
    [
        (None, "file"),
        ("x", "file"),
        ({}, "file.path"),
        ({"path": ""}, "file.path"),
        ({"path": "relative"}, "file.path"),
        ({"path": "/srv/../etc"}, "file.path"),
        ({"path": "/srv/a\u2066b"}, "file.path"),
        ({"path": "/srv/\n"}, "file.path"),
        ({"path": "/" + "x" * 4096}, "file.path"),
        ({"path": "/\ud800"}, "file.path"),
        ({"path": 7}, "file.path"),
        ({"path": "/x", "archive": "yes"}, "file.archive"),
        ({"path": "/x", "bandwidth_mb": -1}, "file.bandwidth_mb"),
        ({"path": "/x", "bandwidth_mb": "1"}, "file.bandwidth_mb"),
        ({"path": "/x", "mode": "0644"}, "file.mode"),
        ({"path": "/x", "head_bytes": 1}, "file.head_bytes"),
        ({"path": "/x", "unknown": 1}, "file.unknown"),
    ],
)
def test_wrong_field_of_a_download_is_named(post, file, field):
    answer = post("file_download", file)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert not StoredFile.objects.exists()


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"mode": "888"}, "file.mode"),
        ({"mode": "0644", "archive": True}, "file.mode"),
        ({"mode": 420}, "file.mode"),
        ({"mode": "12345"}, "file.mode"),
        ({"owner": "a b"}, "file.owner"),
        ({"owner": "root:"}, "file.owner"),
        ({"overwrite": 1}, "file.overwrite"),
        ({"id": ""}, "file.id"),
        ({"id": "0" * 24}, "file.id"),
        ({"id": 5}, "file.id"),
    ],
)
def test_wrong_field_of_an_upload_is_named(post, new_file, more, field):
    answer = post("file_upload", {"id": new_file().pk, "path": "/x", **more})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


@pytest.mark.parametrize("wrong", [-1, 1.5, True, 256 * 1024 + 1])
def test_wrong_excerpt_of_a_preview_is_named(post, wrong):
    answer = post("file_preview", {"path": "/x", "tail_bytes": wrong})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["file.tail_bytes"])


def test_unknown_kind_is_named(post):
    answer = post("file_delete", {"path": "/x"})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["kind"])


@pytest.mark.parametrize("kind", ["file_download", "file_preview"])
def test_fetching_needs_an_agent(client, kind):
    answer = client.post(URL, {"kind": kind, "file": {"path": "/x"}}, format="json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["agent_id"])


def test_file_of_another_tenant_cannot_be_sent(post, new_file, other_tenant):
    file = new_file()
    StoredFile.objects.update(tenant=other_tenant)
    answer = post("file_upload", {"id": file.pk, "path": "/x"})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["file.id"])


def test_file_that_has_not_arrived_cannot_be_sent(post, new_file):
    file = new_file()
    StoredFile.objects.update(complete=False)
    answer = post("file_upload", {"id": file.pk, "path": "/x"})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["file.id"])


def test_batch_names_the_row_of_a_wrong_file(client, host):
    row = {"kind": "file_upload", "file": {"id": "0" * 24, "path": "/x"}}
    answer = client.post(f"{URL}batch/", [row, row], format="json")
    assert set(answer.json()["fields"]) == {"0.file.id", "1.file.id"}
    assert not Task.objects.exists()


def test_host_is_told_the_transfer_with_a_token_of_the_offer(submit, host, new_file):
    file = new_file(b"hello")
    order = {"id": file.pk, "path": "/srv/a", "mode": "640", "owner": "www:www", "overwrite": True}
    task = submit(kind="file_upload", file=order, name="")
    spec = spec_of(task)
    told = spec.transfer
    assert told is not None
    assert spec.kind == "file_upload"
    # An agent that knows no kinds would run the script: it must not seem to have worked.
    assert "too old" in spec.script_content
    assert spec.script_content.endswith("exit 69\n")
    assert (told.path, told.mode, told.owner, told.overwrite) == ("/srv/a", 0o640, "www:www", True)
    assert (told.size_bytes, told.sha256) == (5, sha(b"hello"))
    assert told.token == token_of(task.transfer.pk, task.offer)


def test_offer_that_is_sent_again_carries_the_same_token_and_a_new_one_another(submit, host):
    task = submit(kind="file_preview", agent_id=host.agent.pk, file={"path": "/srv"}, name="")
    first = spec_of(task).transfer
    assert spec_of(task).transfer == first
    task.offer += 1
    assert spec_of(task).transfer.token != first.token


def test_offer_reaches_the_host_with_its_transfer(host, delivered, client, post, transactional_db):
    post("file_preview", {"path": "/srv"})
    specs = [spec for _agent, message in delivered for spec in message.tasks]
    assert [(spec.kind, spec.transfer.path) for spec in specs] == [("file_preview", "/srv")]


def test_script_task_has_no_transfer_on_the_wire(submit, host):
    spec = spec_of(submit())
    assert (spec.kind, spec.transfer) == ("script", None)


def test_rerun_moves_the_same_file_again(submit, host, principal, new_file):
    file = new_file()
    order = {"id": file.pk, "path": "/srv/a", "mode": "0600", "overwrite": True}
    task = submit(kind="file_upload", file=order, name="")
    again = rerun_task(task, by=principal)
    assert (again.kind, again.transfer.stored_file_id) == ("file_upload", file.pk)
    assert (again.transfer.path, again.transfer.options) == ("/srv/a", task.transfer.options)


def test_rerun_of_a_download_gets_a_file_of_its_own(submit, host, principal):
    task = submit(
        kind="file_download", agent_id=host.agent.pk, name="", file={"path": "/d", "archive": True}
    )
    again = rerun_task(task, by=principal)
    assert again.transfer.stored_file_id != task.transfer.stored_file_id
    assert again.transfer.stored_file.name == "d.tar"


def test_rerun_of_an_upload_whose_file_is_gone_says_so(submit, host, principal, new_file):
    task = submit(kind="file_upload", file={"id": new_file().pk, "path": "/srv/a"}, name="")
    FileTransfer.objects.update(stored_file=None)
    with pytest.raises(Conflict, match="not kept any more"):
        rerun_task(task, by=principal)


def test_task_that_moves_a_file_gets_no_script(client, submit, principal):
    fields = {"kind": "file_download", "agent_id": "", "file": {"path": "/x"}}
    task = Task.objects.create(
        tenant_id=principal.tenant_id, name="t", template_type="file", kind=fields["kind"]
    )
    path = f"{URL}{task.pk}/"
    assert list(client.patch(path, {"script_content": "x"}, format="json").json()["fields"]) == [
        "script_content"
    ]
    assert list(client.patch(path, {"agent_id": ""}, format="json").json()["fields"]) == [
        "agent_id"
    ]


def test_list_is_filtered_by_kind(client, submit, host):
    submit()
    task = submit(kind="file_preview", agent_id=host.agent.pk, file={"path": "/srv"}, name="")
    found = client.get(f"{URL}?kind=file_preview,file_upload").json()["results"]
    assert [one["id"] for one in found] == [task.pk]


def test_file_is_looked_at_on_a_host_without_python_whose_slots_are_taken(submit, new_host):
    full = new_host(slots=1, script_types=["shell"])
    assert submit(agent_id=full.agent.pk).state == OFFERED
    order = {"kind": "file_preview", "agent_id": full.agent.pk, "name": "", "file": {"path": "/"}}
    looks = [submit(**order) for _ in range(TRANSFER_SLOTS + 1)]
    assert [one.state for one in looks] == [*[OFFERED] * TRANSFER_SLOTS, QUEUED]
    assert reason_sentence(looks[-1]) == "box moves 2 files already, and no more at once."
    waits = submit(agent_id=full.agent.pk)
    assert reason_sentence(waits) == "The only slot of box is taken."


def test_submissions_are_in_the_audit_trail(post):
    task_id = post("file_preview", {"path": "/etc"}).json()["id"]
    entry = AuditEvent.objects.get(action="file.preview", object_id=str(task_id))
    assert entry.detail["path"] == "/etc"


def test_audit_trail_says_which_content_was_sent(post, new_file):
    file = new_file()
    task_id = post("file_upload", {"id": file.pk, "path": "/srv/x"}).json()["id"]
    detail = AuditEvent.objects.get(action="file.send", object_id=str(task_id)).detail
    assert (detail["file_id"], detail["sha256"]) == (file.pk, file.sha256)


@pytest.mark.parametrize("kind", ["file_download", "file_preview"])
def test_viewer_cannot_look_into_hosts(api_client, viewer_user, host, kind):
    body = {"kind": kind, "agent_id": host.agent.pk, "file": {"path": "/x"}}
    assert api_client(viewer_user).post(URL, body, format="json").status_code == 403


def fan_out(client, file_id: str, **more: object):
    """Send a file to many hosts."""
    body = {"file": {"id": file_id, "path": "/x"}, **more}
    return client.post(f"{URL}fan_out/", body, format="json")


def test_fan_out_makes_a_task_for_each_online_host_with_the_labels(client, new_host, new_file):
    wanted = [new_host(name, labels={"zone": "a", "n": name}).agent.pk for name in ("one", "two")]
    new_host("elsewhere", labels={"zone": "b"})
    new_host("asleep", labels={"zone": "a"}, status="offline")
    answer = fan_out(client, new_file().pk, labels={"zone": "a"})
    assert answer.status_code == 201, answer.json()
    assert sorted(task["agent_id"] for task in answer.json()) == sorted(wanted)
    assert {task["kind"] for task in answer.json()} == {"file_upload"}


def test_fan_out_without_a_host_makes_nothing(client, new_host, new_file):
    new_host("elsewhere", labels={"zone": "b"})
    answer = fan_out(client, new_file().pk, labels={"zone": "a"})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_agent_online")
    assert not Task.objects.exists()


def test_fan_out_of_an_unknown_file_names_the_field_and_makes_nothing(client, new_host):
    new_host("one")
    answer = fan_out(client, "0" * 24)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["file.id"])
    assert not Task.objects.exists()


def test_fan_out_to_too_many_hosts_makes_nothing(client, new_host, new_file, monkeypatch):
    monkeypatch.setattr("tasks.services.fan_out.MAX_BATCH", 1)
    for name in ("one", "two"):
        new_host(name)
    assert fan_out(client, new_file().pk).status_code == 413
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("more", "field"), [({"agent_id": "a-1"}, "agent_id"), ({"kind": "file_preview"}, "kind")]
)
def test_fan_out_takes_labels_and_uploads_only(client, new_file, more, field):
    answer = fan_out(client, new_file().pk, **more)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


def test_fan_out_repeated_with_its_key_makes_no_new_tasks(client, new_host, new_file):
    new_host("one")
    body = {"file": {"id": new_file().pk, "path": "/x"}}
    head = {"Idempotency-Key": "k"}
    first = client.post(f"{URL}fan_out/", body, format="json", headers=head).json()
    new_host("two")
    again = client.post(f"{URL}fan_out/", body, format="json", headers=head).json()
    assert [task["id"] for task in again] == [task["id"] for task in first]
    assert fresh(Task.objects.get()).pk == first[0]["id"]
