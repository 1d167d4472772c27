"""The same product on PostgreSQL and Redis, with two server processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from agent_client.protocol import codec
from agent_client.protocol.messages import Capacity, Hello
from agents.connections import CLOSE_INSTANCE_CONFLICT, CLOSE_SUPERSEDED
from tests.e2e.stack import ROOT, Stack, free_port, running_stack
from tests.services import fresh_database, redis_url

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.xdist_group("postgres")]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One server with housekeeping and an agent, on PostgreSQL and Redis."""
    with (
        fresh_database() as database,
        running_stack(
            tmp_path_factory.mktemp("grown"), DATABASE_URL=database, REDIS_URL=redis_url()
        ) as stack,
    ):
        stack.start_agent()
        yield stack


@contextmanager
def serving(grown: Stack) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a second server process on the same database and Redis; yields it and its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", str(port)],
        cwd=ROOT,
        env=grown.process_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = f"http://127.0.0.1:{port}"
        assert f"{url}/" in process.stdout.readline()
        yield process, url
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def second(grown: Stack) -> Iterator[str]:
    """The address of a second server process."""
    with serving(grown) as (_, url):
        yield url


def test_further_process_ends_when_told(grown: Stack) -> None:
    with serving(grown) as (process, url):
        assert requests.get(f"{url}/readyz", timeout=10).ok
        process.terminate()
        text, _ = process.communicate(timeout=20)
        assert (process.returncode, text) == (0, "Stopped.\n")


def test_further_process_has_the_limits_of_the_first(grown: Stack, second: str) -> None:
    answer = requests.post(f"{second}/accounts/login/", data=b"x" * 100_000, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_log_is_read_at_either_process(grown: Stack, second: str) -> None:
    task = grown.wait_final(grown.submit("echo everywhere"))
    headers = grown.credentials
    answer = requests.get(f"{second}/api/v1/tasks/{task['id']}/log/", headers=headers, timeout=10)
    assert answer.content == b"everywhere\n"


def test_script_runs_on_postgres(grown: Stack) -> None:
    task = grown.wait_final(grown.submit("echo from postgres"))
    assert (task["status"], grown.log(task["id"])) == ("completed", b"from postgres\n")


def test_many_tasks_end_once_each(grown: Stack) -> None:
    ids = [grown.submit("true") for _ in range(40)]
    assert {grown.wait_final(i)["status"] for i in ids} == {"completed"}


def test_task_submitted_to_the_other_process_starts_at_once(grown: Stack, second: str) -> None:
    body = {"name": "x", "template_type": "t", "script_content": "echo hi", "cpu_cores": 0}
    headers = {"Authorization": str(grown._session.headers["Authorization"])}
    answer = requests.post(f"{second}/api/v1/tasks/", json=body, headers=headers, timeout=10)
    assert answer.status_code == 201, answer.text
    assert grown.wait_final(answer.json()["id"], seconds=5)["status"] == "completed"


def test_live_log_reaches_a_browser_at_the_other_process(grown: Stack, second: str) -> None:
    task = grown.submit("sleep 1; echo first; sleep 2; echo second")
    browser = requests.Session()
    page = browser.get(f"{second}/accounts/login/", timeout=10).text
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    form = {"username": "admin", "password": "correct horse battery staple"}
    browser.post(
        f"{second}/accounts/login/",
        {**form, "csrfmiddlewaretoken": token},
        headers={"Referer": second},
        timeout=10,
    )
    cookie = "; ".join(f"{c.name}={c.value}" for c in browser.cookies)
    address = f"{second.replace('http', 'ws')}/ws/tasks/{task}/log/?offset=0"
    with connect(address, additional_headers={"Cookie": cookie}, origin=second) as socket:  # type: ignore[arg-type]
        text = b""
        while b"second" not in text:
            message = socket.recv(timeout=10)
            if isinstance(message, bytes):
                text += message
                socket.send(json.dumps({"ack": 6}))
    assert grown.wait_final(task)["status"] == "completed"


@pytest.fixture
def spoken_for(grown: Stack) -> tuple[str, str]:
    """Return the id and the token of a host that the test itself speaks for."""
    enrolment = grown.post("/api/v1/agents/enroll/", {}).json()["token"]
    body = {"enroll_token": enrolment, "name": "spoken-for", "instance_id": "i-1", "system": {}}
    answer = requests.post(f"{grown.url}/api/v1/agents/register/", json=body, timeout=10).json()
    return answer["agent_id"], answer["agent_token"]


@contextmanager
def greeting(server: str, host: tuple[str, str], instance_id: str) -> Iterator[ClientConnection]:
    """Open a host's socket to a server process and say hello."""
    hello = Hello(
        message_id="h",
        agent_id=host[0],
        instance_id=instance_id,
        boot_id="b",
        version="1",
        capacity=Capacity(cpu_cores=1, memory_bytes=0, slots=0),
    )
    address = f"{server.replace('http', 'ws')}/ws/agent/{host[0]}"
    words = [Subprotocol("agent-token"), Subprotocol(host[1])]
    with connect(address, subprotocols=words, proxy=None) as socket:
        socket.send(codec.encode(hello).decode())
        yield socket


def close_code(socket: ClientConnection) -> int:
    """Read a socket to its end and return how it was closed."""
    with pytest.raises(ConnectionClosed) as end:
        while True:
            socket.recv(timeout=30)
    assert end.value.rcvd is not None
    return end.value.rcvd.code


def test_processes_agree_which_socket_of_a_host_counts(
    grown: Stack, second: str, spoken_for: tuple[str, str]
) -> None:
    with greeting(second, spoken_for, "i-1") as older:
        assert '"welcome"' in older.recv(timeout=30)
        with greeting(grown.url, spoken_for, "i-2") as copy:
            assert close_code(copy) == CLOSE_INSTANCE_CONFLICT
        with greeting(grown.url, spoken_for, "i-1") as newer:
            assert '"welcome"' in newer.recv(timeout=30)
            assert close_code(older) == CLOSE_SUPERSEDED
