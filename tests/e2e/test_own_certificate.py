"""A server with a certificate of its own: https, wss, and the agents that believe it or not."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent_client.transport.trust import fingerprint_of
from tests.agent_client.probes.certificates import Authority
from tests.e2e.stack import PASSWORD, Stack, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("own-certificate")]


class Secured(NamedTuple):
    """The installation and who signed its certificate."""

    stack: Stack
    authority: Authority
    pin: str


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """`manage.py up` with its local agent behind a certificate of a private authority."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    file, key = authority.files()
    certificate = x509.load_pem_x509_certificates(file.read_bytes())[0]
    stack = Stack(
        directory=tmp_path_factory.mktemp("secured"),
        environment={"DIALER_TLS_CERT": str(file), "DIALER_TLS_KEY": str(key)},
        ca_file=str(authority.root_file),
    )
    try:
        stack.start_server(with_agent=True)
        yield Secured(stack, authority, fingerprint_of(certificate.public_bytes(Encoding.DER)))
    finally:
        stack.close()


def runs_a_task(stack: Stack, agent_id: str) -> None:
    task = stack.wait_final(stack.submit("echo over tls", agent=agent_id))
    assert task["status"] == "completed", task
    assert stack.log(task["id"]) == b"over tls\n"


def test_address_is_printed_with_https_and_plain_http_gets_nothing(secured):
    assert f"ready at {secured.stack.url}/" in secured.stack.output_of("server")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{secured.stack.port}/healthz", timeout=15)


def test_local_agent_believes_the_certificate_by_itself(secured):
    name = socket.gethostname()
    agent_id = wait_for(lambda: secured.stack.online_agent(name), seconds=45)
    runs_a_task(secured.stack, str(agent_id))


def test_sign_in_works_and_its_cookies_stay_on_https(secured):
    session = requests.Session()
    session.verify = secured.stack.ca_file
    session.trust_env = False
    page = f"{secured.stack.url}/accounts/login/"
    session.get(page, timeout=10)
    form = {
        "username": "admin",
        "password": PASSWORD,
        "csrfmiddlewaretoken": session.cookies["__Host-dialer-csrf"],
    }
    answer = session.post(page, form, headers={"Referer": page}, timeout=10, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    assert all(cookie.secure for cookie in session.cookies)
    assert "__Host-dialer" in session.cookies
    # On loopback it would bind every other program's pages of this name, too.
    assert "Strict-Transport-Security" not in answer.headers
    policy = session.get(secured.stack.url, timeout=10).headers["Content-Security-Policy"]
    assert f"wss://127.0.0.1:{secured.stack.port}" in policy


def test_whole_chain_is_sent_and_old_tls_refused(secured):
    context = ssl.create_default_context(cafile=secured.stack.ca_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    address = ("127.0.0.1", secured.stack.port)
    with (
        socket.create_connection(address, 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as channel,
    ):
        assert channel.version() == "TLSv1.2"


def test_agent_with_the_authoritys_file_runs_a_task(secured):
    agent_id = secured.stack.start_agent(
        "by-authority", AGENT_CONNECTION_CA_FILE=str(secured.authority.root_file)
    )
    runs_a_task(secured.stack, agent_id)


def test_agent_with_the_fingerprint_runs_a_task_and_a_changed_pin_stops_it(secured):
    stack = secured.stack
    assert f"--server-fingerprint {secured.pin}" in stack.manage("enroll")
    agent_id = stack.start_agent("pinned", AGENT_CONNECTION_SERVER_FINGERPRINT=secured.pin)
    runs_a_task(stack, agent_id)
    stack.kill_agent("pinned")
    wait_for(lambda: stack.online_agent("pinned") is None)
    stack.spawn_agent(
        "pinned",
        AGENT_CONNECTION_SERVER_FINGERPRINT="00" * 32,
        AGENT_LOGGING_LOG_FORMAT="json",
        AGENT_LOGGING_LOG_DIR=str(stack.directory / "pinned-logs"),
    )
    refusals = wait_for(lambda: refused_by(stack.directory / "pinned-logs"))
    assert secured.pin in refusals[0]["message"]  # what the server showed
    # It waits a minute and lives on: what runs there needs it.
    pauses = wait_for(lambda: lines_of(stack.directory / "pinned-logs", "reconnecting"))
    assert float(pauses[0]["fields"]["seconds"]) >= 60
    assert stack.agents["pinned"].poll() is None
    assert stack.online_agent("pinned") is None


def test_host_that_enrols_with_a_wrong_fingerprint_sends_nothing_and_says_so(secured):
    process = secured.stack.spawn_agent("mistaken", AGENT_CONNECTION_SERVER_FINGERPRINT="00" * 32)
    assert process.wait(30) == 4
    printed = secured.stack.output_of("agent-mistaken")
    assert "certificate_refused" in printed
    assert "not pinned" in printed
    names = {one["name"] for one in secured.stack.get("/api/v1/agents/").json()["results"]}
    assert "mistaken" not in names


def lines_of(directory: Path, event: str) -> list[dict]:
    """Return the events of one kind in the JSON log of an agent."""
    found = []
    for path in directory.glob("*.log"):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry.get("event") == event:
                found.append(entry)
    return found


def refused_by(directory: Path) -> list[dict]:
    return [
        entry
        for entry in lines_of(directory, "error")
        if entry["fields"].get("code") == "certificate_refused"
    ]


def test_mismatched_key_stops_the_start_with_the_settings_name(secured, tmp_path):
    _, key = secured.authority.files("other")
    stack = Stack(
        directory=tmp_path,
        environment={**secured.stack.environment, "DIALER_TLS_KEY": str(key)},
        ca_file=secured.stack.ca_file,
    )
    try:
        with pytest.raises(AssertionError, match="DIALER_TLS_KEY does not belong"):
            stack.start_server()
    finally:
        stack.close()
