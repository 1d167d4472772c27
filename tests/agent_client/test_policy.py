"""The local policy file: what it allows, what it refuses, and when it is not trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from agent_client.errors import ConfigError, Rejected
from agent_client.policy import (
    DEFAULT_TEXT,
    POLICY_FILE,
    PluginRules,
    Policy,
    load_policy,
    own_user,
    write_default,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / POLICY_FILE


def written(path: Path, text: str, *, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_missing_file_is_the_default_policy(path):
    assert load_policy(path) == Policy()


def test_default_file_says_exactly_the_default_policy(path):
    write_default(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_policy(path) == Policy()
    assert set(yaml.safe_load(DEFAULT_TEXT)) == set(Policy.__struct_fields__)


def test_default_file_says_when_it_is_read():
    assert "read at the agent's start and at SIGHUP (systemctl reload)." in DEFAULT_TEXT


def test_existing_file_is_never_overwritten(path):
    written(path, "work: [probes]\n")
    write_default(path)
    assert load_policy(path).work == ("probes",)


def test_probe_only_host_runs_no_scripts(path):
    policy = load_policy(written(path, "work: [probes]\n"))
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


@pytest.mark.parametrize("user", ["", own_user(), "build"])
def test_listed_users_and_the_own_are_allowed(user):
    Policy(run_as=("build",)).check_run_as(user)


def test_user_that_is_not_listed_is_refused():
    with pytest.raises(Rejected, match="run_as: nobody is not listed"):
        Policy(run_as=("build",)).check_run_as("nobody")


@pytest.mark.parametrize(("limit", "slots"), [(None, 5), (2, 2), (9, 5), (0, 0)])
def test_policy_lowers_the_slots_and_never_raises_them(limit, slots):
    assert Policy(max_tasks=limit).slots(5) == slots


def test_roots_are_absolute(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert Policy(directories=("~", "/srv")).roots() == (Path("/home/ada"), Path("/srv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wrok: [probes]\n", "Did you mean work?"),
        ("zebra: 1\n", "zebra is not a key"),
        ("work: [scripts, mining]\n", "work"),
        ("max_tasks: many\n", "max_tasks"),
        ("max_tasks: -1\n", "max_tasks"),
        ("plugins: {instal: true}\n", "instal"),
        ("- a list\n", "keys and values"),
        ("work: [", "YAML"),
    ],
)
def test_file_with_a_mistake_stops_the_agent_and_names_it(path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_policy(written(path, text))


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_others_may_write_is_not_trusted(path, mode):
    with pytest.raises(ConfigError, match="chmod 600"):
        load_policy(written(path, "work: [probes]\n", mode=mode))


def test_link_is_not_trusted(path, tmp_path):
    path.symlink_to(written(tmp_path / "other", "work: [probes]\n"))
    with pytest.raises(ConfigError, match="no link"):
        load_policy(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_another_user_is_not_trusted(path):
    os.chown(written(path, "work: [probes]\n"), 65534, 65534)
    with pytest.raises(ConfigError, match="another user"):
        load_policy(path)
