"""What anybody may read below /agent/: the installer, the wheel and its hash."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from agents.distribution import pip_archive, releases
from agents.distribution.installer import command_for, install_command
from agents.distribution.wheel import Wheel


@pytest.fixture(autouse=True)
def _data(settings, tmp_path) -> None:
    settings.DIALER_DATA_DIR = tmp_path


def test_served_wheel_has_the_announced_hash(client):
    told = client.get("/agent/release.json").json()
    data = client.get(f"/agent/{told['file']}").content
    assert hashlib.sha256(data).hexdigest() == told["sha256"]


def test_served_pip_has_the_hash_that_the_installer_names_and_runs(client, tmp_path):
    data = client.get("/agent/pip.whl").content
    assert hashlib.sha256(data).hexdigest() in client.get("/agent/install.py").content.decode()
    archive = tmp_path / "pip.whl"
    archive.write_bytes(data)
    # -S: what is installed here must not help.
    command = [sys.executable, "-S", str(archive / "pip"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert f"from {archive}" in done.stdout, done.stderr


def test_server_without_pip_says_so_and_asks_the_host_for_its_own(client, monkeypatch):
    monkeypatch.setattr(pip_archive, "read", lambda: None)
    assert client.get("/agent/pip.whl").status_code == 404
    assert (
        f"'{releases.current().version}', '')" in client.get("/agent/install.py").content.decode()
    )


def test_command_makes_the_wheel_that_is_served(client, tmp_path):
    printed = io.StringIO()
    call_command("agent_wheel", str(tmp_path / "dist"), stdout=printed)
    digest, path = printed.getvalue().split()
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest
    assert digest == client.get("/agent/release.json").json()["sha256"]


def test_unknown_version_is_not_found(client):
    assert client.get("/agent/dialer_agent-9.9.9-py3-none-any.whl").status_code == 404


def test_version_with_a_path_is_not_found(client):
    assert client.get("/agent/dialer_agent-..%2Fx-py3-none-any.whl").status_code == 404


def test_installer_names_server_and_hash_and_compiles(client):
    text = client.get("/agent/install.py").content.decode()
    compile(text, "install.py", "exec")
    assert "http://testserver" in text
    assert releases.current().sha256 in text


def test_shell_installer_is_a_correct_script(client):
    text = client.get("/agent/install.sh").content
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_installer_is_post_protected(client):
    assert client.post("/agent/install.py").status_code in {403, 405}


def test_command_carries_the_token_outside_of_the_address():
    command = install_command("http://h:1", releases.current(), "dpe_secret")
    assert command.startswith("DIALER_ENROLL_TOKEN=dpe_secret python3 -c ")
    assert "dpe_secret" not in command.partition("python3")[2]


def test_changed_installer_is_not_run(tmp_path):
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/install.py").write_text("print('ran')")
    command = install_command(f"file://{tmp_path}", releases.current(), "dpe_x")
    command = command.replace("python3", sys.executable, 1)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "changed on its way" in done.stderr


def test_wheels_are_read_once_while_they_stay_as_they_are(client, monkeypatch):
    client.get("/agent/release.json")
    read: list[Path] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or original(path))
    former = client.get("/agent/release.json").json()
    assert read == []
    path = releases.current().path
    path.write_bytes(b"another wheel")
    assert client.get("/agent/release.json").json()["sha256"] != former["sha256"]
    assert read == [path]


def test_published_wheel_is_replaced_as_a_whole(tmp_path):
    releases.publish(Wheel("1.0", b"old"), tmp_path / releases.FOLDER)
    made = releases.publish(Wheel("1.0", b"new"), tmp_path / releases.FOLDER)
    assert releases.find("1.0") == made
    assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]


def test_command_pins_the_servers_own_certificate():
    command = install_command("https://h", releases.current(), "dpe_x", fingerprint="ab" * 32)
    assert command.endswith(f" --server-fingerprint {'ab' * 32}")
    assert "ssl._create_unverified_context()" in command


@pytest.mark.parametrize(
    ("server", "is_plain_wanted", "ends"),
    [("http://10.0.0.1:8000", True, True), ("https://h", True, False), ("http://h", False, False)],
)
def test_command_says_that_the_way_is_plain_where_the_server_is(
    settings, server, is_plain_wanted, ends
):
    settings.ALLOW_PLAIN_HTTP = is_plain_wanted
    assert command_for(server, "dpe_x").endswith(" --allow-plain-http") is ends


def test_former_releases_are_deleted_but_those_in_use(tmp_path):
    folder = tmp_path / releases.FOLDER
    wheels = [Wheel(f"{number}.0", b"%d" % number) for number in range(9)]
    for wheel in wheels:
        releases.publish(wheel, folder)
    for number, wheel in enumerate(wheels):
        os.utime(folder / wheel.file_name, (1e9 + number, 1e9 + number))
    assert set(releases.prune({wheels[0].sha256})) == {"1.0", "2.0", "3.0"}
    assert releases.find("0.0") is not None
