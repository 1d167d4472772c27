"""The same product on PostgreSQL and Redis, with two server processes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gethostname

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from agent_client.protocol import codec
from agent_client.protocol.messages import Capacity, Hello
from agents.connections import CLOSE_INSTANCE_CONFLICT, CLOSE_SUPERSEDED
from dialer_platform.serving.limits import body_limit
from tests.e2e.stack import START_SECONDS, Stack, free_port, running_stack, wait_for
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
def further_server(stack: Stack, label: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Yield the address and the process of one more server of the installation."""
    port = free_port()
    process = stack._spawn(label, "manage.py", "serve", "--port", str(port))
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        assert process.poll() is None, stack.output_of(label)
        return f"ready at {url}/" in stack.output_of(label)

    try:
        wait_for(is_ready, seconds=START_SECONDS)
        yield url, process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def second(grown: Stack) -> Iterator[str]:
    """The address of a second server process on the same database, Redis and data."""
    with further_server(grown, "second") as (url, _):
        yield url


def test_script_runs_on_postgres(grown: Stack) -> None:
    task = grown.wait_final(grown.submit("echo from postgres"))
    assert (task["status"], grown.log(task["id"])) == ("completed", b"from postgres\n")


def test_many_tasks_end_once_each(grown: Stack) -> None:
    ids = [grown.submit("true") for _ in range(40)]
    assert {grown.wait_final(i)["status"] for i in ids} == {"completed"}


def test_task_submitted_to_the_other_process_starts_at_once(grown: Stack, second: str) -> None:
    body = {"name": "x", "template_type": "t", "script_content": "echo hi", "cpu_cores": 0}
    tasks = f"{second}/api/v1/tasks/"
    answer = requests.post(tasks, json=body, headers=grown.credentials, timeout=10)
    assert answer.status_code == 201, answer.text
    task = answer.json()["id"]
    assert grown.wait_final(task, seconds=5)["status"] == "completed"
    log = requests.get(f"{tasks}{task}/log/", headers=grown.credentials, timeout=10)
    assert log.content == b"hi\n"


def test_other_process_has_the_limits_of_the_first(grown: Stack, second: str) -> None:
    large = b"x" * (body_limit(b"/accounts/login/") + 1)
    for url in (grown.url, second):
        assert requests.post(f"{url}/accounts/login/", large, timeout=10).status_code == 413


def test_other_process_starts_no_agent(grown: Stack, second: str) -> None:
    assert requests.get(f"{second}/readyz", timeout=10).status_code == 200
    agents = grown.get("/api/v1/agents/").json()["results"]
    assert gethostname() not in {agent["name"] for agent in agents}
    assert not (grown.data / "agent").exists()


def test_other_process_ends_in_order_and_leaves_the_rest_alone(grown: Stack) -> None:
    with further_server(grown, "third") as (url, process):
        task = grown.submit("sleep 1; echo done")
        assert requests.get(f"{url}/healthz", timeout=10).ok
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, grown.output_of("third")
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/healthz", timeout=10)
    assert grown.output_of("third").endswith("Stopped. The other server processes go on.\n")
    assert grown.wait_final(task)["status"] == "completed"


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
