"""Who a script runs as, and what it is held to."""

from __future__ import annotations

import os
import pwd
import resource

import pytest

from agent_client.sub_agent import restrict
from agent_client.sub_agent.restrict import RestrictError, Restriction

NO_LIMIT = frozenset[str]()
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
WHO = 'id -un; id -Gn; pwd; echo "$HOME $USER $SECRET"; grep NoNewPrivs /proc/self/status'


def test_task_without_wishes_is_not_restricted():
    assert restrict.plan({}, limited=NO_LIMIT) == Restriction()


def test_own_user_needs_no_change():
    own = pwd.getpwuid(os.geteuid()).pw_name
    assert restrict.account_of(own) is None


def test_unknown_user_is_refused_with_the_remedy():
    with pytest.raises(RestrictError, match="no user nosuchuser on this host; create it"):
        restrict.account_of("nosuchuser")


def test_agent_that_is_not_root_cannot_become_another(monkeypatch):
    monkeypatch.setattr(restrict.os, "geteuid", lambda: 1)
    with pytest.raises(RestrictError, match="run it as root"):
        restrict.account_of("nobody")


def test_memory_falls_back_to_a_limit_of_each_process():
    found = restrict.plan({"limits": {"memory_mb": 5}}, limited=NO_LIMIT)
    assert found.limits == ((resource.RLIMIT_DATA, 5 * 1024 * 1024),)


def test_memory_that_the_group_holds_needs_no_other_limit():
    found = restrict.plan({"limits": {"memory_mb": 5}}, limited=frozenset({"memory"}))
    assert found.limits == ()


def test_processes_without_a_group_are_refused_with_the_remedy():
    with pytest.raises(RestrictError, match="Delegate=yes"):
        restrict.plan({"limits": {"processes": 5}}, limited=NO_LIMIT)


def test_script_sees_its_limits(start_task):
    task = start_task("ulimit -n; nice", limits={"open_files": 77, "nice": 7})
    task.end()
    # On top of what the agent itself has.
    assert task.log() == b"77\n%d\n" % (os.nice(0) + 7)


@root_only
def test_script_runs_as_the_user_with_a_clean_login(start_task):
    order = {"environment": {"SECRET": "the agent's", "HOME": "/root", "LANG": "C.UTF-8"}}
    task = start_task(WHO, run_as="nobody", order=order)
    assert task.end()["exit_code"] == 0
    user, groups, directory, login, privileges = task.log().decode().splitlines()
    assert (user, groups, directory) == ("nobody", "nogroup", "/")
    assert login == "/nonexistent nobody "
    assert privileges.split() == ["NoNewPrivs:", "1"]


@root_only
def test_script_of_another_user_cannot_read_the_agents_files(start_task, tmp_path):
    tmp_path.chmod(0o700)
    secret = tmp_path / "identity.json"
    secret.write_text("the credential")
    task = start_task(f"cat {secret}; ls -l /proc/$PPID/fd /proc/self/fd", run_as="nobody")
    task.end()
    assert b"the credential" not in task.log()
    assert b"identity" not in task.log().replace(b"identity.json: Permission denied", b"")


@root_only
@pytest.mark.parametrize(
    ("kind", "script"),
    [("shell", "#!/bin/sh\necho $0 ran"), ("python", "import os; print(os.getuid(), 'ran')")],
)
def test_another_user_can_run_a_script_of_any_kind(start_task, kind, script):
    task = start_task(script, run_as="nobody", script_type=kind)
    assert task.end()["exit_code"] == 0
    assert task.log().endswith(b"ran\n")


@root_only
def test_unknown_user_fails_the_start_with_a_sentence(start_task):
    end = start_task("true", run_as="nosuchuser").end()
    assert (end["reason"], "no user nosuchuser" in end["detail"]) == ("start_failed", True)
