"""The files panel of a host's page: browse, look, fetch, and what each role gets to see."""

from __future__ import annotations

import json

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agent_client.protocol import frames
from agent_client.protocol.transfers import TRANSFER_SLOTS
from tasks.files.panel import crumbs, mode_words, moment
from tasks.files.place import store
from tasks.logs.files import store as log_store
from tasks.models import StoredFile, Task
from tasks.services.stored_files import complete_file
from tests.tasks.files.conftest import sha

pytestmark = pytest.mark.django_db(databases=list(settings.DATABASES))

HTMX = {"HTTP_HX_REQUEST": "true"}
DIRECTORY = {
    "type": "directory",
    "path": "/srv",
    "entries": [
        {"name": "sub", "type": "directory", "mode": 0o750, "owner": "www"},
        {"name": "<b>.txt", "type": "file", "size_bytes": 2048, "modified_at": 1.7e9},
        {"name": "socket", "type": "other"},
    ],
}
FILE = {
    "type": "file",
    "path": "/srv/a.txt",
    "size_bytes": 9,
    "encoding": "gb18030",
    "head": "你好 <script>",
    "tail": "end",
}


@pytest.fixture
def client(page_client, operator_user, delivered):
    return page_client(operator_user)


@pytest.fixture
def page_of(client, host):
    """Return a function that shows the host's page to a client."""

    def show(viewer=client) -> str:
        return viewer.get(f"/agents/{host.agent.pk}/").content.decode()

    return show


@pytest.fixture
def preview(submit, host):
    """Return a function that makes a preview task whose host has sent something."""

    def make(content: object | None = None, **ended: object) -> Task:
        task = submit(kind="file_preview", agent_id=host.agent.pk, name="", file={"path": "/srv"})
        if content is not None:
            deliver(task, json.dumps(content).encode())
            ended = {"status": "completed", "phase": "", "reason": "exit", "exit_code": 0}
        Task.objects.filter(pk=task.pk).update(**ended)
        return Task.objects.get(pk=task.pk)

    return make


def deliver(task: Task, data: bytes) -> None:
    """Store what a host sends."""
    file = task.transfer.stored_file
    store().append(file.pk, 0, data, sha(data))
    complete_file(file, len(data), "", by=None)


def view(client, task: Task) -> str:
    """Return the fragment of a preview."""
    return client.get(f"/tasks/files/view/{task.pk}/", **HTMX).content.decode()


def test_operator_may_browse_and_send(page_of):
    page = page_of()
    assert 'id="files-path"' in page
    assert 'id="files-chosen"' in page


def test_viewer_sees_transfers_but_no_way_to_write(page_of, page_client, viewer_user, submit, host):
    submit(kind="file_download", agent_id=host.agent.pk, name="", file={"path": "/srv/x"})
    page = page_of(page_client(viewer_user))
    assert "/srv/x" in page
    assert 'id="files-path"' not in page
    assert 'id="files-chosen"' not in page


def test_revoked_host_is_not_browsed(page_of, host):
    host.agent.revoked_at = timezone.now()
    host.agent.save()
    assert 'id="files-path"' not in page_of()


def test_browsing_submits_a_preview_and_waits_for_it(client, host):
    answer = client.post(f"/tasks/files/{host.agent.pk}/browse/", {"path": " /srv "}, **HTMX)
    task = Task.objects.get()
    assert (task.kind, task.transfer.path) == ("file_preview", "/srv")
    assert f'hx-get="/tasks/files/view/{task.pk}/"' in answer.content.decode()


def test_browsing_without_script_goes_to_the_task(client, host):
    answer = client.post(f"/tasks/files/{host.agent.pk}/browse/", {"path": "/srv"})
    assert (answer.status_code, answer["Location"]) == (302, f"/tasks/{Task.objects.get().pk}/")


def test_wrong_path_is_said_in_one_sentence(client, host):
    answer = client.post(f"/tasks/files/{host.agent.pk}/browse/", {"path": "srv"}, **HTMX)
    assert answer.status_code == 400
    assert json.loads(answer["HX-Trigger"])["toast"]["text"] == "Must be an absolute path."


def test_directory_shows_its_entries_and_the_way_up(client, preview):
    html = view(client, preview(DIRECTORY))
    assert 'name="path" value="/srv/sub"' in html
    assert 'value="/srv/&lt;b&gt;.txt"' in html
    assert ("<b>.txt" in html, "2 kB" in html, "0750" in html) == (False, True, True)
    assert '<button type="submit" name="path" value="/">/</button>' in html


def test_entry_names_cannot_lead_out_of_the_directory(client, preview):
    sly = {**DIRECTORY, "entries": [{"name": "../../etc/shadow", "type": "file"}]}
    assert 'value="/srv/shadow"' in view(client, preview(sly))


def test_long_directory_says_what_is_not_shown(client, preview, monkeypatch):
    monkeypatch.setattr("tasks.files.panel.MAX_SHOWN_ENTRIES", 1)
    html = view(client, preview({**DIRECTORY, "truncated": True}))
    assert "2 more entries are not shown." in html
    assert "more entries than a host lists" in html


def test_file_shows_head_tail_and_encoding_without_running_them(client, preview):
    html = view(client, preview(FILE))
    assert ("你好 &lt;script&gt;" in html, "gb18030" in html, ">end</pre>" in html) == (True,) * 3


def test_binary_file_is_not_shown_as_text(client, preview):
    html = view(client, preview({**FILE, "is_binary": True}))
    assert "Not text; download it to look at it." in html
    assert "<pre" not in html


def test_refusal_is_shown_with_the_hosts_own_sentence(client, preview):
    task = preview(status="failed", phase="", reason="exit", exit_code=1)
    line = "policy_denied: /srv is not within the roots."
    log_store().append(task.pk, 0, frames.encode(frames.STDOUT, 1, f"\r10%\n{line}\n".encode()))
    html = view(client, task)
    assert line in html
    assert 'data-testid="files-refused"' in html


def test_waiting_preview_says_what_it_waits_for(client, preview):
    html = view(client, preview())
    assert "asking the host" in html
    assert "files-refused" not in html


def test_fetching_submits_a_download(client, host):
    path = f"/tasks/files/{host.agent.pk}/fetch/"
    answer = client.post(path, {"path": "/srv/a", "archive": "true"}, **HTMX)
    task = Task.objects.get()
    assert (answer.status_code, task.kind) == (204, "file_download")
    assert task.transfer.options["archive"] is True


def test_recent_transfers_offer_what_has_arrived(client, submit, host):
    for name in ("whole", "half"):
        submit(kind="file_download", agent_id=host.agent.pk, name="", file={"path": f"/{name}"})
    whole = Task.objects.get(name="fetch /whole")
    deliver(whole, b"data")
    html = client.get(f"/tasks/files/{host.agent.pk}/", **HTMX).content.decode()
    assert html.count("/content/") == 1
    assert f"/api/v1/files/{whole.transfer.stored_file_id}/content/" in html


def test_recent_transfers_cost_the_same_queries_for_many(
    client, submit, host, new_file, django_assert_num_queries
):
    path = f"/tasks/files/{host.agent.pk}/"
    order = {"id": new_file().pk, "path": "/srv/x"}
    for _ in range(TRANSFER_SLOTS + 1):  # one of them waits and says for what
        submit(kind="file_upload", agent_id=host.agent.pk, name="", file=order)
    with CaptureQueriesContext(connection) as one:
        client.get(path, **HTMX)
    for _ in range(2):
        submit(kind="file_upload", agent_id=host.agent.pk, name="", file=order)
    with django_assert_num_queries(len(one)):
        client.get(path, **HTMX)


def test_page_of_a_look_shows_what_the_host_sent_or_asks_again(client, preview, submit, host):
    asked = submit(kind="file_preview", agent_id=host.agent.pk, name="", file={"path": "/srv"})
    waiting = client.get(f"/tasks/{asked.pk}/").content.decode()
    assert f'hx-get="/tasks/files/view/{asked.pk}/"' in waiting
    assert "every 1s" in waiting
    shown = client.get(f"/tasks/{preview(DIRECTORY).pk}/").content.decode()
    assert 'id="files-view"' in shown
    assert 'data-path="/srv"' in shown


@pytest.mark.parametrize("act", ["browse", "fetch"])
def test_viewer_acts_on_nothing(page_client, viewer_user, host, act):
    answer = page_client(viewer_user).post(f"/tasks/files/{host.agent.pk}/{act}/", {"path": "/x"})
    assert (answer.status_code, Task.objects.count()) == (403, 0)


def test_other_tenant_finds_neither_host_nor_preview(page_client, stranger, host, preview):
    other, task = page_client(stranger), preview(DIRECTORY)
    agent = f"/tasks/files/{host.agent.pk}/"
    answers = [
        other.get(agent),
        other.post(f"{agent}browse/", {"path": "/x"}),
        other.post(f"{agent}fetch/", {"path": "/x"}),
        other.get(f"/tasks/files/view/{task.pk}/"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4


def test_script_has_no_preview(client, submit):
    assert client.get(f"/tasks/files/view/{submit().pk}/").status_code == 404


def test_tasks_own_page_shows_the_file_and_no_script(client, submit, new_file):
    order = {"id": new_file().pk, "path": "/srv/x", "mode": "0600"}
    task = submit(kind="file_upload", name="", file=order)
    page = client.get(f"/tasks/{task.pk}/").content.decode()
    assert ("/srv/x" in page, "mode=0600" in page, "<code-view" in page) == (True, True, False)


def test_tasks_own_page_says_when_the_file_is_not_kept(client, submit, new_file):
    task = submit(kind="file_upload", name="", file={"id": new_file().pk, "path": "/srv/x"})
    StoredFile.objects.all().delete()
    assert "not kept any more" in client.get(f"/tasks/{task.pk}/").content.decode()


def test_list_shows_and_filters_the_kind(client, submit, host):
    submit(name="plain")
    submit(kind="file_preview", agent_id=host.agent.pk, name="", file={"path": "/srv"})
    page = client.get("/tasks/?kind=file_preview").content.decode()
    assert ("show /srv" in page, ">plain</a>" in page) == (True, False)
    assert "look at a file" in page


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("/", ["/"]),
        ("/srv/a", ["/", "/srv", "/srv/a"]),
        ("/srv//a/", ["/", "/srv", "/srv/a"]),
        ("C:\\data\\x", ["C:\\", "C:\\data", "C:\\data\\x"]),
        ("C:/data", ["C:/", "C:/data"]),
    ],
)
def test_path_is_cut_into_steps(path, steps):
    assert [crumb.path for crumb in crumbs(path)] == steps


@pytest.mark.parametrize("value", [None, "yesterday", 1e300, float("nan")])
def test_time_that_is_none_is_not_shown(value):
    assert moment(value) is None


def test_rights_are_shown_as_digits():
    assert (mode_words(0o100644), mode_words("0755"), mode_words(None)) == ("0644", "0755", "")
