"""The login environment is asked for once and never fails."""

from __future__ import annotations

import logging
import os
import pwd
import signal
import time

import pytest

from agent_client.tasks import login_environment
from agent_client.tasks.login_environment import base_environment, joined_path, parse

LOGGER = logging.getLogger("test")


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Make a program the user's login shell."""

    def use(text: str) -> None:
        program = tmp_path / "shell"
        program.write_text(text)
        program.chmod(0o755)
        base = {"SHELL": str(program), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        monkeypatch.setattr(login_environment, "base_environment", lambda _: dict(base))

    return use


def test_variables_of_the_login_shell_are_read(shell):
    shell('#!/bin/sh\necho "welcome"\nCONDA=yes MULTI="a\nb" exec /bin/sh -c "$2"\n')
    found = login_environment.read_login_environment(logger=LOGGER)
    assert (found["CONDA"], found["MULTI"]) == ("yes", "a\nb")


def test_plain_login_shell_is_asked_when_an_interactive_one_fails(shell):
    shell('#!/bin/sh\n[ "$1" = -lic ] && exit 1\nPLAIN=yes exec /bin/sh -c "$2"\n')
    assert login_environment.read_login_environment(logger=LOGGER)["PLAIN"] == "yes"


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 3\n", "#!/bin/sh\nexit 0\n", "no program"])
def test_minimum_is_used_when_the_shell_is_broken(shell, text):
    shell(text)
    found = login_environment.read_login_environment(logger=LOGGER)
    assert found["PATH"] == "/usr/bin:/bin"


def test_minimum_is_used_when_the_shell_hangs(shell):
    shell("#!/bin/sh\nsleep 60\n")
    began = time.monotonic()
    found = login_environment.read_login_environment(logger=LOGGER, timeout_seconds=0.2)
    assert "HOME" in found
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("disposition", [signal.SIG_DFL, signal.SIG_IGN], ids=["", "nohup"])
def test_shell_that_hangs_may_release_its_locks(shell, tmp_path, monkeypatch, disposition):
    """An interactive shell ignores TERM, and KILL would leave the lock for ever."""
    monkeypatch.setattr(login_environment, "HANGUP_SECONDS", 30.0)
    shell("#!/bin/bash\ntrap 'rm lock' EXIT\ntrap '' TERM\ntouch lock\nsleep 60\n")
    # Time for a busy host to come as far as the lock, or the hang-up would find no trap set.
    former = signal.signal(signal.SIGHUP, disposition)
    try:
        login_environment.read_login_environment(logger=LOGGER, timeout_seconds=2.0)
    finally:
        signal.signal(signal.SIGHUP, former)
    assert not (tmp_path / "lock").exists()


def test_shell_that_ignores_the_hangup_is_killed(shell):
    shell("#!/bin/sh\ntrap '' HUP\nwhile :; do sleep 1; done\n")
    began = time.monotonic()
    assert "HOME" in login_environment.read_login_environment(logger=LOGGER, timeout_seconds=0.2)
    assert time.monotonic() - began < 8


def test_credentials_of_the_agent_never_pass(monkeypatch):
    monkeypatch.setenv("AGENT_TOKEN", "dpa_x")
    monkeypatch.setenv("DIALER_TOKEN", "dpu_x")
    monkeypatch.setenv("MY_SECRET", "s")
    found = login_environment.read_login_environment(logger=LOGGER)
    assert not {"AGENT_TOKEN", "DIALER_TOKEN", "MY_SECRET"} & set(found)
    assert found["HOME"]


def test_agents_variables_are_withheld_when_a_start_up_file_sets_them():
    listing = b"noise" + login_environment._MARK + b"A=1\0AGENT_X=2\0DIALER_Y=3\0SHLVL=4\0B=x=y\0"
    assert parse(listing) == {"A": "1", "B": "x=y"}


def test_answer_without_mark_is_none():
    assert parse(b"A=1\0") is None


def test_base_names_the_user():
    base = base_environment({"PATH": "/opt/bin", "LANG": "C.UTF-8", "SECRET": "s"})
    assert base["PATH"] == "/opt/bin"
    assert base["LANG"] == "C.UTF-8"
    assert "SECRET" not in base


def test_agents_programs_come_last_on_the_path():
    assert joined_path("/usr/bin:/bin", "/venv/bin:/bin::") == "/usr/bin:/bin:/venv/bin"


def test_home_that_the_agent_was_given_counts_when_it_is_the_users(tmp_path):
    assert base_environment({"HOME": str(tmp_path)})["HOME"] == str(tmp_path)


@pytest.mark.parametrize("given", ["", "/nowhere"])
def test_home_that_is_none_gives_way_to_the_users_own(given):
    own = pwd.getpwuid(os.getuid()).pw_dir
    assert base_environment({"HOME": given})["HOME"] == own


def test_home_of_another_user_gives_way_to_the_users_own(monkeypatch, tmp_path):
    own = pwd.getpwuid(os.getuid())
    found = os.stat_result((0, 0, 0, 0, own.pw_uid + 1, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "stat", lambda *_: found)
    assert base_environment({"HOME": str(tmp_path)})["HOME"] == own.pw_dir


def test_scripts_do_not_get_what_is_for_the_agents_own_python():
    found = base_environment({**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": "/own"})
    assert not [name for name in found if name.startswith("PYTHON")]
