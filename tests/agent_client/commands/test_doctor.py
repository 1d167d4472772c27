"""`doctor`: each thing that is wrong is named with its remedy; what is well is said too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent_client import policy
from agent_client.policy_file import POLICY_FILE
from agent_client.state import Identity, StateDirectory
from tests.agent_client.probes.certificates import Authority


@pytest.fixture(autouse=True)
def empty_place(monkeypatch, tmp_path):
    """Run in an empty directory with an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AGENT_CONFIG_FILE", raising=False)


class Healthy(BaseHTTPRequestHandler):
    """A server that is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def authority(tmp_path) -> Authority:
    """Return a private authority that no host knows by itself."""
    (tmp_path / "authority").mkdir()
    return Authority(tmp_path / "authority")


@pytest.fixture
def https(authority) -> Iterator[str]:
    """Return the address of a server with a certificate of that authority."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    server.socket = authority.server().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def findings(
    run, tmp_path, *words: str, server: str = "http://127.0.0.1:1"
) -> dict[str, list[str]]:
    """Return the remedies by subject; "" where it is well."""
    outcome = run(
        "doctor", "--json", "--state-dir", str(tmp_path / "state"), "--server", server, *words
    )
    found: dict[str, list[str]] = {}
    for one in json.loads(outcome.out):
        found.setdefault(one["subject"], []).append(one["remedy"])
    return found


def test_host_that_was_never_started_is_told_what_to_do(run, tmp_path):
    found = findings(run, tmp_path)
    assert "manage.py enroll" in found["identity"][0]
    assert "Check its address" in found["server"][0]
    assert "agent_client main" in found["agent"][0]
    assert found["configuration"] == [""]
    assert found["policy"] == [""]


def test_state_that_others_may_read_is_named(run, tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    assert findings(run, tmp_path)["state"][0].startswith("Run: chmod 700")


def test_policy_that_is_not_trusted_is_named(run, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    policy = tmp_path / "state" / POLICY_FILE
    policy.write_text("work: [probes]\n")
    policy.chmod(0o666)
    assert findings(run, tmp_path)["policy"][0].startswith("Run: chmod 600")


def enrolled(directory: Path, **changes: str) -> None:
    """Make the state directory that of a registered host."""
    state = StateDirectory(directory)
    state.lock()
    state.save_identity(Identity(instance_id="i", agent_id="a", agent_token="t", **changes))
    state.close()


def test_policy_that_a_registered_host_has_lost_is_named(run, tmp_path):
    enrolled(tmp_path / "state")
    assert findings(run, tmp_path)["policy"][0].startswith("Put it back")


@pytest.mark.parametrize(("text", "is_doubted"), [("{}\n", True), ("run_as: [x]\n", False)])
def test_agent_of_root_is_told_when_the_policy_does_not_say_whom_tasks_run_as(
    run, tmp_path, monkeypatch, text, is_doubted
):
    monkeypatch.setattr(policy, "is_root", lambda: True)
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / POLICY_FILE).write_text(text)
    (tmp_path / "state" / POLICY_FILE).chmod(0o600)
    remedies = findings(run, tmp_path)["policy"]
    assert any(one.startswith("Write run_as: [") for one in remedies) is is_doubted


def test_server_is_believed_as_the_agent_believes_it(run, tmp_path, authority, https):
    ca_file = ("--ca-file", str(authority.root_file))
    assert findings(run, tmp_path, *ca_file, server=https)["server"] == [""]
    assert findings(run, tmp_path, server=https)["server"] != [""]
    pin = ("--server-fingerprint", "ab" * 32)
    assert findings(run, tmp_path, *pin, server=https)["server"] != [""]


def test_unencrypted_way_is_named_although_it_is_allowed(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AGENT_CONNECTION_ALLOW_PLAIN_HTTP", "1")
    # Port 0 is nobody's: it is not looked for on a network.
    found = findings(run, tmp_path, server="http://0.0.0.0:1")
    assert found["encryption"][0].startswith("Give the server a certificate")
    assert "encryption" not in findings(run, tmp_path)


def test_what_was_trusted_at_the_registration_is_trusted_here(run, tmp_path, authority, https):
    enrolled(tmp_path / "state", ca_file=str(authority.root_file))
    assert findings(run, tmp_path, server=https)["server"] == [""]


def test_text_is_for_people_and_the_code_says_that_something_is_wrong(run, tmp_path):
    outcome = run("doctor", "--server", "http://127.0.0.1:1")
    assert outcome.code == 1
    assert outcome.out.startswith("ok   configuration: no file, defaults\n")
    assert "bad  server: http://127.0.0.1:1 does not answer" in outcome.out
