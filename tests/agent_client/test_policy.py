"""The policy of the host's owner: what it allows and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_client import policy as policy_module
from agent_client.errors import Rejected
from agent_client.policy import PluginRules, Policy, own_user
from agent_client.probing.dialing import denied_kinds


@pytest.fixture(params=[True, False], ids=["root", "user"])
def is_root(request, monkeypatch) -> bool:
    """Have the agent be root, or not."""
    monkeypatch.setattr(policy_module, "is_root", lambda: request.param)
    return request.param


@pytest.fixture
def root(monkeypatch) -> None:
    """Have the agent be root."""
    monkeypatch.setattr(policy_module, "is_root", lambda: True)


def test_probe_only_host_runs_no_scripts():
    policy = Policy(work=("probes",))
    policy.check_work("probes")
    with pytest.raises(Rejected, match="work: scripts is not among probes") as caught:
        policy.check_work("scripts")
    assert caught.value.code == "policy_denied"


def test_star_lists_the_built_in_plugins_only():
    policy = Policy(plugins=PluginRules(allowed=("*",)))
    policy.check_plugin("cpu", is_builtin=True)
    with pytest.raises(Rejected, match=r"plugins\.allowed: mine is not listed"):
        policy.check_plugin("mine", is_builtin=False)


def test_named_plugin_may_be_active_and_no_other():
    policy = Policy(plugins=PluginRules(allowed=("mine",)))
    policy.check_plugin("mine", is_builtin=False)
    with pytest.raises(Rejected, match="cpu is not listed"):
        policy.check_plugin("cpu", is_builtin=True)


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        (PluginRules(), "plugins.install: false"),
        (PluginRules(keys=("k",)), "plugins.install: false"),
        (PluginRules(install=True), "plugins.keys: no key is listed"),
    ],
)
def test_nothing_is_installed_without_the_owners_word_and_key(rules, rule):
    with pytest.raises(Rejected, match=rule):
        Policy(plugins=rules).check_install()
    Policy(plugins=PluginRules(install=True, keys=("k",))).check_install()


def test_host_without_any_work_refuses_all():
    with pytest.raises(Rejected):
        Policy(work=()).check_work("probes")


@pytest.mark.parametrize("user", ["", own_user()])
def test_own_user_is_allowed_when_nothing_is_said_of_users(user, is_root):
    Policy().check_run_as(user)
    assert Policy().users == (own_user(),)


@pytest.mark.parametrize("user", ["", own_user(), "nobody"])
def test_list_of_users_is_complete_also_for_the_own(user, is_root):
    Policy(run_as=("build",)).check_run_as("build")
    with pytest.raises(Rejected, match=rf"run_as: {user or own_user()} is not listed") as caught:
        Policy(run_as=("build",)).check_run_as(user)
    assert caught.value.code == "policy_denied"


@pytest.mark.parametrize("user", ["", own_user(), "build"])
def test_own_user_is_allowed_beside_others_when_it_is_listed(user, is_root):
    Policy(run_as=(own_user(), "build")).check_run_as(user)


def test_empty_list_keeps_tasks_from_root_and_means_nothing_to_other_users(is_root):
    assert Policy(run_as=()).users == (() if is_root else (own_user(),))


def test_host_without_tasks_of_root_gives_root_nothing_else_either(root):
    kept = Policy(run_as=("build",), directories=("~", "~/", "/srv"))
    assert kept.roots() == (Path("/srv"),)
    assert "script" in denied_kinds(kept)
    assert "script" not in denied_kinds(Policy())
    with pytest.raises(Rejected, match="run_as: "):
        kept.check_upgrades()
    Policy(run_as=("build",), upgrades=True).check_upgrades()


@pytest.mark.parametrize(
    ("run_as", "isolation"),
    [(None, "same-user"), ((own_user(), "build"), "same-user"), (("build",), "other-users")],
)
def test_scripts_are_isolated_only_where_none_is_the_agents_user(root, run_as, isolation):
    assert Policy(run_as=run_as).isolation == isolation


def test_agent_that_can_become_nobody_else_isolates_nothing(monkeypatch):
    monkeypatch.setattr(policy_module, "is_root", lambda: False)
    assert Policy(run_as=("build",)).isolation == "same-user"


def test_root_is_asked_to_say_whom_tasks_run_as(root):
    [doubt] = Policy().doubts()
    assert "run_as does not say whether that is meant" in doubt.detail
    for decided in (Policy(run_as=(own_user(),)), Policy(run_as=()), Policy(work=("probes",))):
        assert list(decided.doubts()) == []


@pytest.mark.parametrize(("limit", "slots"), [(None, 5), (2, 2), (9, 5), (0, 0)])
def test_policy_lowers_the_slots_and_never_raises_them(limit, slots):
    assert Policy(max_tasks=limit).slots(5) == slots


def test_roots_are_absolute(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert Policy(directories=("~", "/srv")).roots() == (Path("/home/ada"), Path("/srv"))
