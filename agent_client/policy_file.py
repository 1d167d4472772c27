"""The host's policy as a file: whether it can be trusted, what it says, and how it begins.

Read at start and at SIGHUP, from one descriptor that was checked itself, so that nobody
swaps the file between the check and the reading. A file that others could have written,
that is missing, empty or holds an unknown key is refused instead of being guessed at: only
the very first start of a host writes the default one.
"""

from __future__ import annotations

import difflib
import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent_client.config import AgentConfig
from agent_client.config_file import MAX_FILE_BYTES, parse_text
from agent_client.errors import ConfigError, Terminal
from agent_client.policy import Policy, is_root, own_user
from agent_client.probes.targets import TargetPolicy
from agent_client.state import write_durably

POLICY_FILE = "policy.yaml"
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE_ONE = "Put it back; one line such as `work: [scripts, files, probes, plugins]` is enough."

OLDER_RUN_AS = """\
# Users that a task may run as, besides the agent's own. root must be named like any other.
run_as: []
"""
"""The words of older default files. They promised the agent's own user, so they keep it."""

_RUN_AS_OF_ROOT = """\
# Users that a task may run as; no other may. Who runs as root can do anything on this host and
# change this file: to keep tasks from it, name other users instead.
run_as: ["{user}"]
"""
_RUN_AS_OF_OTHERS = """\
# Users that a task may run as; null is the agent's own. Only an agent of root can use others.
run_as: null
"""

_DEFAULT = """\
# What this host lets its server ask of it. Only its owner changes this file: no server can.
# It is read at the agent's start and at SIGHUP (systemctl reload).
# Remove a line to get its default; without this file the agent does not start again.

# Kinds of work: scripts, files, probes, plugins. A host for probes alone: [probes]
work: [scripts, files, probes, plugins]

# Whether the server may bring this host another version of the agent: true, false, or null
# for "where scripts run as the agent's user", since they can replace the agent anyway.
upgrades: null

{run_as}
# Directories below which files are sent and fetched; links do not lead out of them. "~" is the
# home of the agent's user; it is closed where run_as keeps tasks from this user.
directories: ["~"]

# Tasks at once, whatever the configuration says; 0 for none, null leaves it to the configuration.
max_tasks: null

probe_targets:
  # Networks that no probe may reach, and exceptions. Metadata services give away secrets.
  deny: ["169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"]
  allow: []

plugins:
  # Names of plug-ins that may be active; "*" stands for the built-in ones.
  allowed: ["*"]
  # Whether packages may be installed, and whose signature they need (Ed25519, base64).
  install: false
  keys: []
"""


def policy_file_of(config: AgentConfig) -> Path:
    """Return where the host's policy is."""
    return config.policy_file or config.state_dir / POLICY_FILE


def host_policy(config: AgentConfig, *, is_first_start: bool) -> Policy:
    """Return the policy of this host; raises ConfigError, Terminal when it cannot be written.

    The first start of a host, before it is registered, writes the default where no other
    file is named. After that a missing file is no permission.
    """
    path = policy_file_of(config)
    if is_first_start and config.policy_file is None:
        write_default(path)
    return load_policy(path)


def default_text() -> str:
    """Return the default policy with its explanations, for the user that the agent runs as."""
    run_as = _RUN_AS_OF_ROOT.format(user=own_user()) if is_root() else _RUN_AS_OF_OTHERS
    return _DEFAULT.format(run_as=run_as)


def write_default(path: Path) -> None:
    """Write the default policy, unless something has its name already; raises Terminal."""
    if os.path.lexists(path):
        return
    try:
        write_durably(path, default_text().encode())
    except OSError as error:
        raise Terminal(f"{path}: {error.strerror}", code="state_unusable") from error


def load_policy(path: Path) -> Policy:
    """Return the policy in a file; raises ConfigError also when there is none."""
    text = _read(path)
    try:
        data = parse_text(path, text) if text.strip() else None
    except ConfigError as error:
        raise _unusable(path, error.problem, "Correct the file.") from error
    if data is None:
        raise _unusable(path, "is empty", _WRITE_ONE)
    if not isinstance(data, dict):
        raise _unusable(path, "does not hold keys and values", _WRITE_ONE)
    return _policy(path, data if OLDER_RUN_AS not in text else data | {"run_as": None})


def _read(path: Path) -> str:
    """Return the text of a file that only the host's owner can have written."""
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _check_directory(path, os.fstat(directory))
            descriptor = os.open(path.name, _FLAGS, dir_fd=directory)
        finally:
            os.close(directory)
        with os.fdopen(descriptor, "rb") as file:
            _check_file(path, os.fstat(descriptor))
            return file.read(MAX_FILE_BYTES + 1).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise _unusable(path, "is missing", _WRITE_ONE) from error
    except UnicodeDecodeError as error:
        raise _unusable(path, "is not UTF-8 text", "Save it as UTF-8.") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _no_plain_file(path) from error
        raise _unusable(path, error.strerror or "cannot be read", "Check its owner.") from error


def _check_directory(path: Path, found: os.stat_result) -> None:
    """Refuse a directory in which somebody else could put another file under the name."""
    _check_owner(path, found, f"lies in {path.parent}, which")
    # In a directory like /tmp others cannot replace what is not theirs.
    if found.st_mode & WRITABLE_BY_OTHERS and not found.st_mode & stat.S_ISVTX:
        remedy = f"Run: chmod go-w {path.parent}"
        raise _unusable(path, f"lies in {path.parent}, which others can write to", remedy)


def _check_file(path: Path, found: os.stat_result) -> None:
    """Refuse a file that somebody other than the host's owner could have written."""
    if not stat.S_ISREG(found.st_mode):
        raise _no_plain_file(path)
    _check_owner(path, found, "")
    if found.st_mode & WRITABLE_BY_OTHERS:
        raise _unusable(path, "can be written by others", f"Run: chmod 600 {path}")
    if found.st_size > MAX_FILE_BYTES:
        raise _unusable(path, f"is larger than {MAX_FILE_BYTES} bytes", "Shorten it.")


def _check_owner(path: Path, found: os.stat_result, what: str) -> None:
    if found.st_uid not in (0, os.geteuid()):
        problem = f"{what} belongs to another user".strip()
        raise _unusable(path, problem, "Give it to root or to the agent's user.")


def _policy(path: Path, data: Mapping[str, Any]) -> Policy:
    """Return the policy of the file's contents, with the wrong key named."""
    unknown = [key for key in data if key not in Policy.__struct_fields__]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), Policy.__struct_fields__, 1)
        remedy = f"Did you mean {near[0]}?" if near else "Remove it."
        raise _unusable(path, f"{unknown[0]} is not a key of the policy", remedy)
    try:
        policy = msgspec.convert(data, Policy)
        # A network that is none must not turn out at the first probe.
        TargetPolicy(policy.probe_targets.deny, policy.probe_targets.allow)
    except (msgspec.ValidationError, ValueError) as error:
        raise _unusable(path, str(error), "Correct the named value.") from error
    wrong = [one for one in policy.directories if not _is_absolute(one)]
    if wrong:
        problem = f"directories: {wrong[0]!r} is not absolute"
        raise _unusable(path, problem, "Write a full path, or ~ for the home directory.")
    return policy


def _is_absolute(directory: str) -> bool:
    """Return whether an entry names one directory, wherever the agent is started."""
    try:
        return Path(directory).expanduser().is_absolute()
    except RuntimeError:  # ~name of a user that this host does not have
        return False


def _no_plain_file(path: Path) -> ConfigError:
    return _unusable(path, "is not a plain file", "Put the file itself there, no link.")


def _unusable(path: Path, problem: str, remedy: str) -> ConfigError:
    """Return the error about the policy file."""
    return ConfigError("policy", str(path), problem, remedy, code="policy_unusable")
