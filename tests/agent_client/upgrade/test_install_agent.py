"""The installer's steps on a host, without a network."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent_client.config import load_config
from agent_client.upgrade import install_agent
from agent_client.upgrade.install_agent import CannotInstall, read_options

NO_OPTIONS = read_options([])


def test_old_python_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(CannotInstall, match=r"Python 3\.11 or newer"):
        install_agent.require_python(has_pip=True)


@pytest.mark.parametrize(("module", "has_pip"), [("venv", True), ("ensurepip", False)])
def test_missing_module_is_told_what_to_do(monkeypatch, module, has_pip):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CannotInstall, match="python3-venv"):
        install_agent.require_python(has_pip=has_pip)


def test_bare_python_is_enough_when_the_server_offers_pip(monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    install_agent.require_python(has_pip=True)


def test_pip_with_another_hash_is_not_taken(tmp_path: Path):
    (tmp_path / "offered").write_bytes(b"changed")
    with pytest.raises(CannotInstall, match="pip does not have the hash"):
        install_agent.take_pip(tmp_path, f"file://{tmp_path}/offered", "0" * 64, NO_OPTIONS)
    assert not (tmp_path / "pip.whl").exists()


def test_pip_of_the_server_is_fetched_once(tmp_path: Path):
    (tmp_path / "offered").write_bytes(b"pip")
    sha256 = hashlib.sha256(b"pip").hexdigest()
    install_agent.take_pip(tmp_path, f"file://{tmp_path}/offered", sha256, NO_OPTIONS)
    install_agent.take_pip(tmp_path, "file:///missing", sha256, NO_OPTIONS)
    assert (tmp_path / "pip.whl").read_bytes() == b"pip"


def test_wrong_hash_leaves_no_version(tmp_path: Path):
    (tmp_path / "versions").mkdir()
    (tmp_path / "a.whl").write_bytes(b"changed")
    with pytest.raises(CannotInstall, match="hash"):
        install_agent.install_version(
            tmp_path, f"file://{tmp_path}/a.whl", "0" * 64, "1.0", NO_OPTIONS
        )
    assert not list((tmp_path / "versions").iterdir())


def test_complete_version_is_kept(tmp_path: Path):
    (tmp_path / "a.whl").write_bytes(b"wheel")
    sha256 = hashlib.sha256(b"wheel").hexdigest()
    folder = tmp_path / "versions" / f"1.0-{sha256[:12]}"
    folder.mkdir(parents=True)
    (folder / "complete").write_text(sha256)
    url = f"file://{tmp_path}/a.whl"
    assert install_agent.install_version(tmp_path, url, sha256, "1.0", NO_OPTIONS) == folder


def test_token_comes_from_standard_input(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("dpe_1\n"))
    assert install_agent.read_token(tmp_path) == "dpe_1"


def test_missing_token_is_an_error(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(CannotInstall, match="DIALER_ENROLL_TOKEN"):
        install_agent.read_token(tmp_path)


def test_enrolled_host_needs_no_token(tmp_path: Path):
    (tmp_path / "identity.json").touch()
    assert install_agent.read_token(tmp_path) == ""


def test_settings_of_the_owner_are_kept(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    install_agent.write_settings(tmp_path, "http://h", "dpe_1", NO_OPTIONS)
    assert (tmp_path / "config.json").read_text() == "{}"
    assert (tmp_path / "enroll_token").stat().st_mode & 0o777 == 0o600


def test_new_settings_name_server_and_host(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("DIALER_AGENT_NAME", "box")
    install_agent.write_settings(tmp_path, "http://h", "", NO_OPTIONS)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert (settings["agent_server_url"], settings["agent_name"]) == ("http://h", "box")


def test_options_about_the_certificate_reach_the_configuration(tmp_path: Path):
    options = read_options(["--ca-file", "/etc/ca.pem", "--server-fingerprint", "ab" * 32])
    install_agent.write_settings(tmp_path, "https://h", "", NO_OPTIONS)
    install_agent.write_settings(tmp_path, "https://h", "", options)
    settings = json.loads((tmp_path / "config.json").read_text())
    expected = {"ca_file": "/etc/ca.pem", "server_fingerprint": "ab" * 32}
    assert (settings["agent_server_url"], settings["connection"]) == ("https://h", expected)


def test_unencrypted_way_is_refused_before_anything_is_installed(tmp_path: Path):
    with pytest.raises(CannotInstall, match="add --allow-plain-http"):
        install_agent.require_encryption(tmp_path, "http://10.0.0.1:8000", NO_OPTIONS)
    install_agent.require_encryption(tmp_path, "http://127.0.0.1:8000", NO_OPTIONS)
    install_agent.require_encryption(tmp_path, "https://10.0.0.1", NO_OPTIONS)


def test_unencrypted_way_is_the_owners_word_and_kept(tmp_path: Path):
    options = read_options(["--allow-plain-http"])
    install_agent.require_encryption(tmp_path, "http://10.0.0.1:8000", options)
    install_agent.write_settings(tmp_path, "http://10.0.0.1:8000", "", options)
    # The next installer is run without the option.
    install_agent.require_encryption(tmp_path, "http://10.0.0.1:8000", NO_OPTIONS)
    file = {"config_file": str(tmp_path / "config.json")}
    config = load_config(file, {"HOME": str(tmp_path)}, tmp_path)
    assert config.connection.exposed_servers == ("http://10.0.0.1:8000",)


def test_missing_file_of_authorities_is_told(tmp_path: Path):
    options = read_options(["--ca-file", str(tmp_path / "missing.pem")])
    with pytest.raises(CannotInstall, match=r"missing\.pem"):
        install_agent.context_for(options)


def test_launcher_runs_the_version_behind_the_link(tmp_path: Path):
    for name in ("1", "2"):
        program = tmp_path / "versions" / name / "bin/python"
        program.parent.mkdir(parents=True)
        program.write_text('#!/bin/sh\necho "$0 $AGENT_STATE_DIR $*"\n')
        program.chmod(0o700)
    install_agent.write_settings(tmp_path, "http://h", "", NO_OPTIONS)
    install_agent.switch(tmp_path, tmp_path / "versions/1")
    install_agent.switch(tmp_path, tmp_path / "versions/2")
    said = subprocess.run(
        [tmp_path / "run", "main"], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    ).stdout
    expected = f"{tmp_path}/versions/2/bin/python {tmp_path} -P -m agent_client main\n"
    assert said == expected


def test_service_leaves_tasks_alone():
    text = install_agent.SERVICE.format(launcher="/l", target="t")
    assert {"KillMode=process", "Delegate=yes", "Restart=always"} <= set(text.splitlines())


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_service_is_a_correct_unit(tmp_path: Path):
    unit = tmp_path / install_agent.UNIT
    unit.write_text(install_agent.SERVICE.format(launcher="/bin/true", target="default.target"))
    command = ["systemd-analyze", "verify", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    # It also complains of what other units of this machine lack.
    about_ours = [line for line in done.stderr.splitlines() if install_agent.UNIT in line]
    assert about_ours == []


def test_former_agent_is_told_to_end(tmp_path: Path):
    program = (
        "import fcntl,os,sys,time\nf=open(sys.argv[1],'w')\nfcntl.flock(f,fcntl.LOCK_EX)\n"
        "f.write(str(os.getpid()));f.flush();print(flush=True);time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "agent.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as former:
        assert former.stdout is not None
        former.stdout.readline()
        install_agent.stop_former(tmp_path)
        assert former.wait(10) == -15


def test_stale_process_id_is_left_alone(tmp_path: Path):
    with subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / "agent.lock").write_text(str(other.pid))
        install_agent.stop_former(tmp_path)
        assert other.poll() is None
        other.kill()
