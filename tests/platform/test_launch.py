"""What a start needs: a private directory, one server per directory, a free address, an agent."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from dialer_platform.launch import address, data_dir, local_agent
from dialer_platform.launch.local_agent import LocalAgent, agent_command
from dialer_platform.management.commands.up import is_for_agent

# Says which start it is and how it was started, then waits like an agent would.
AGENT = """
import os, pathlib, select, sys
state = pathlib.Path(sys.argv[1])
with (state / "starts").open("a") as file:
    token = os.environ.get("AGENT_ENROLL_TOKEN_FILE")
    file.write((pathlib.Path(token).read_text() if token else "-") + "\\n")
if len((state / "starts").read_text().splitlines()) < int(sys.argv[2]):
    sys.exit(3)
os.write(int(sys.argv[3]), b"up")
select.select([int(os.environ["AGENT_LIVENESS_FD"])], [], [])
(state / "left").touch()
"""


@pytest.fixture
def ready():
    """Return a pipe through which the child says that it runs."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    yield read, write
    os.close(read)
    os.close(write)


@pytest.fixture
def make(tmp_path, ready, monkeypatch):
    """Return a function that makes a local agent of the small program above."""
    monkeypatch.setattr(local_agent, "FIRST_PAUSE_SECONDS", 0.01)
    real_popen = local_agent.subprocess.Popen

    def popen(command, **options):
        passed = (*options.pop("pass_fds"), ready[1])
        return real_popen(command, pass_fds=passed, **options)

    monkeypatch.setattr(local_agent.subprocess, "Popen", popen)

    def make_agent(*, starts: int = 1) -> LocalAgent:
        return LocalAgent(
            command=[sys.executable, "-c", AGENT, str(tmp_path), str(starts), str(ready[1])],
            state_dir=tmp_path,
            environment=dict(os.environ),
            working_dir=Path.cwd(),
            new_token=lambda: "dpe_token",
        )

    return make_agent


def test_agent_gets_its_token_by_a_private_file(make, ready, tmp_path):
    agent = make()
    agent.start()
    os.read(ready[0], 2)
    assert (tmp_path / "starts").read_text() == "dpe_token\n"
    assert (tmp_path / local_agent.TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    agent.stop()
    assert not (tmp_path / local_agent.TOKEN_FILE).exists()


def test_agent_with_an_identity_needs_no_token(make, ready, tmp_path):
    (tmp_path / "identity.json").write_text("{}")
    agent = make()
    agent.start()
    os.read(ready[0], 2)
    agent.stop()
    assert (tmp_path / "starts").read_text() == "-\n"


def test_agent_is_started_again_when_it_dies(make, ready, tmp_path):
    agent = make(starts=3)
    agent.start()
    os.read(ready[0], 2)
    agent.stop()
    assert len((tmp_path / "starts").read_text().splitlines()) == 3


def test_agent_runs_in_a_session_of_its_own(make, ready):
    agent = make()
    agent.start()
    os.read(ready[0], 2)
    child = agent._child
    assert child is not None
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    agent.stop()
    assert child.poll() is not None


def test_agent_leaves_when_the_liveness_pipe_closes(make, ready, tmp_path):
    agent = make()
    agent.start()
    os.read(ready[0], 2)
    child = agent._child
    assert child is not None
    agent._stopping.set()
    os.close(agent._liveness_write)
    child.wait(10)
    assert (tmp_path / "left").exists()
    os.close(agent._liveness_read)


def test_command_names_server_host_and_state(tmp_path):
    command = agent_command(url="http://127.0.0.1:1/", name="box", state_dir=tmp_path)
    assert command[1:4] == ["-m", "agent_client", "main"]
    assert command[4:8] == ["--server", "http://127.0.0.1:1", "--name", "box"]
    assert command[8:] == ["--state-dir", str(tmp_path)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("PATH", True), ("AGENT_NAME", True), ("DIALER_SECRET_KEY", False), ("REDIS_URL", False)],
)
def test_secrets_of_the_server_stay_with_the_server(name, expected):
    assert is_for_agent(name) is expected


def test_data_directory_is_made_private(tmp_path):
    path = tmp_path / "data"
    assert not data_dir.make_private(path)
    path.chmod(0o755)
    assert data_dir.make_private(path)
    assert path.stat().st_mode & 0o777 == 0o700


def test_data_directory_serves_one_server_at_a_time(tmp_path):
    first = data_dir.lock(tmp_path)
    with pytest.raises(data_dir.DataDirectoryInUse, match=str(os.getpid())):
        data_dir.lock(tmp_path)
    first.close()
    data_dir.lock(tmp_path).close()


def test_taken_port_is_reported_with_a_remedy():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(address.AddressUnusable, match=f"DIALER_PORT={port + 1}"):
            address.require_free("127.0.0.1", port)


def test_free_port_is_accepted():
    address.require_free("127.0.0.1", 0)


def test_unknown_address_is_reported():
    with pytest.raises(address.AddressUnusable, match="DIALER_HOST"):
        address.require_free("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/"),
        ("0.0.0.0", "http://127.0.0.1:8000/"),
        ("::1", "http://[::1]:8000/"),
        ("box.lan", "http://box.lan:8000/"),
    ],
)
def test_printed_address_opens_in_a_browser(host, url):
    assert address.url_of(host, 8000) == url


@pytest.mark.parametrize(
    ("content", "is_moved"),
    [
        ('{"agent_id": "a-known"}', False),
        ('{"agent_id": "a-other"}', True),
        ('{"instance_id": "x"}', False),
        ("not json", True),
        ("[]", True),
    ],
)
def test_identity_is_set_aside_when_the_server_does_not_know_it(tmp_path, content, is_moved):
    path = tmp_path / "identity.json"
    path.write_text(content)
    moved = local_agent.set_identity_aside(tmp_path, is_known=lambda id: id == "a-known")
    assert (moved, path.exists()) == (is_moved, not is_moved)


def test_no_identity_is_a_normal_start(tmp_path):
    assert not local_agent.set_identity_aside(tmp_path, is_known=lambda id: False)
