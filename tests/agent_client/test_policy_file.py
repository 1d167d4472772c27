"""The local policy file: what it says, and when it is not trusted."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from agent_client import policy as policy_module
from agent_client import policy_file as module
from agent_client.config import AgentConfig, load_config
from agent_client.errors import ConfigError, ExitCode, Terminal
from agent_client.policy import Policy, own_user
from agent_client.policy_file import (
    OLDER_RUN_AS,
    POLICY_FILE,
    default_text,
    host_policy,
    load_policy,
    write_default,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / POLICY_FILE


@pytest.fixture
def config(tmp_path) -> AgentConfig:
    return load_config({"state_dir": str(tmp_path)}, {"HOME": str(tmp_path)}, tmp_path)


def acting_as(monkeypatch, *, root: bool) -> None:
    for one in (policy_module, module):
        monkeypatch.setattr(one, "is_root", lambda: root)


def written(path: Path, text: str, *, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_default_file_of_a_user_says_exactly_the_default_policy(path, monkeypatch):
    acting_as(monkeypatch, root=False)
    write_default(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_policy(path) == Policy()
    assert set(yaml.safe_load(default_text())) == set(Policy.__struct_fields__)


def test_default_file_of_root_names_root(path, monkeypatch):
    acting_as(monkeypatch, root=True)
    write_default(path)
    assert load_policy(path) == Policy(run_as=(own_user(),))
    assert list(load_policy(path).doubts()) == []


def test_default_file_says_when_it_is_read():
    assert "read at the agent's start and at SIGHUP (systemctl reload)." in default_text()


def test_existing_file_is_never_overwritten(path):
    written(path, "work: [probes]\n")
    write_default(path)
    assert load_policy(path).work == ("probes",)


def test_file_with_the_older_words_keeps_what_they_promised(path, monkeypatch):
    acting_as(monkeypatch, root=True)
    policy = load_policy(written(path, f"work: [scripts]\n{OLDER_RUN_AS}max_tasks: 2\n"))
    policy.check_run_as("")
    assert (policy.work, policy.max_tasks) == (("scripts",), 2)
    assert len(list(policy.doubts())) == 1


def test_older_file_that_its_owner_changed_means_what_it_says_now(path, monkeypatch):
    acting_as(monkeypatch, root=True)
    changed = OLDER_RUN_AS.replace("[]", "[build]")
    assert load_policy(written(path, changed)).users == ("build",)


def test_first_start_writes_the_default_and_a_later_one_misses_it(path, config):
    first = host_policy(config, is_first_start=True)
    assert first == load_policy(path)
    path.unlink()
    with pytest.raises(ConfigError, match="is missing") as caught:
        host_policy(config, is_first_start=False)
    assert (caught.value.code, caught.value.exit_code) == ("policy_unusable", ExitCode.USAGE)
    assert not path.exists()


def test_file_that_is_named_and_missing_is_never_made_up(config, tmp_path):
    named = replace(config, policy_file=tmp_path / "named.yaml")
    with pytest.raises(ConfigError, match="is missing"):
        host_policy(named, is_first_start=True)
    assert list(tmp_path.iterdir()) == []


def test_directory_that_cannot_be_written_ends_the_first_start(config):
    nowhere = replace(config, state_dir=config.state_dir / "missing")
    with pytest.raises(Terminal) as caught:
        host_policy(nowhere, is_first_start=True)
    assert caught.value.code == "state_unusable"


@pytest.mark.parametrize("text", ["", " \n", "# only a comment\n", "---\n"])
def test_empty_file_is_no_permission(path, text):
    with pytest.raises(ConfigError, match="is empty"):
        load_policy(written(path, text))


def test_file_that_says_nothing_on_purpose_is_the_default(path):
    assert load_policy(written(path, "{}\n")) == Policy()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wrok: [probes]\n", "Did you mean work?"),
        ("zebra: 1\n", "zebra is not a key"),
        ("work: [scripts, mining]\n", "work"),
        ("max_tasks: many\n", "max_tasks"),
        ("max_tasks: -1\n", "max_tasks"),
        ("run_as: root\n", "run_as"),
        ("plugins: {instal: true}\n", "instal"),
        ("- a list\n", "keys and values"),
        ("work: [", "YAML"),
        ('directories: [""]\n', "directories: '' is not absolute"),
        ("directories: [~, srv]\n", "directories"),
        ('directories: ["srv/data"]\n', "directories: 'srv/data' is not absolute"),
        ('directories: ["~nosuchuser/data"]\n', "directories: '~nosuchuser/data'"),
        (f"{'#' * 1024 * 1025}\n", "is larger than"),
    ],
)
def test_file_with_a_mistake_stops_the_agent_and_names_it(path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_policy(written(path, text))
    assert caught.value.code == "policy_unusable"


def test_file_that_is_not_text_is_refused(path):
    path.write_bytes(b"work: \xff\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_policy(path)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_others_may_write_is_not_trusted(path, mode):
    with pytest.raises(ConfigError, match="chmod 600"):
        load_policy(written(path, "work: [probes]\n", mode=mode))


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_file_in_a_directory_that_others_may_write_is_not_trusted(path, mode):
    written(path, "work: [probes]\n").parent.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod go-w {path.parent}"):
        load_policy(path)


def test_directory_in_which_nobody_replaces_anothers_file_is_trusted(path):
    written(path, "work: [probes]\n").parent.chmod(0o1777)
    assert load_policy(path).work == ("probes",)


@pytest.mark.parametrize("target", ["other", "missing"])
def test_link_is_not_trusted(path, tmp_path, target):
    written(tmp_path / "other", "work: [probes]\n")
    path.symlink_to(tmp_path / target)
    with pytest.raises(ConfigError, match="no link"):
        load_policy(path)
    write_default(path)
    assert path.is_symlink()


def test_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="not a plain file"):
        load_policy(path)


def test_file_is_read_from_the_descriptor_that_was_checked(path, monkeypatch):
    """Whoever swaps the file after the check is not read."""
    written(path, "work: [probes]\n")
    check = module._check_file

    def swap(*arguments) -> None:
        check(*arguments)
        written(path.with_name("other"), "work: [scripts]\n").replace(path)

    monkeypatch.setattr(module, "_check_file", swap)
    assert load_policy(path).work == ("probes",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("given", ["", "."])
def test_file_or_directory_of_another_user_is_not_trusted(path, given):
    os.chown(written(path, "work: [probes]\n") if not given else path.parent, 65534, 65534)
    with pytest.raises(ConfigError, match="another user"):
        load_policy(written(path, "work: [probes]\n") if given else path)
