"""What this host lets a server ask of it: the local policy file has the last word.

The file belongs to the host's owner. No message can change it, so a stolen server or
account can do here what the file allows and nothing more. It is read at start and at
SIGHUP; a file that others may write, or that holds an unknown key, is refused instead of
being guessed at. Without a file everything is allowed that needs no further right: the
agent's own user, its home directory, built-in plug-ins; never the installation of code.
"""

from __future__ import annotations

import difflib
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent_client.config_file import read_file
from agent_client.errors import ConfigError, Rejected
from agent_client.probes.targets import DENIED_NETWORKS, TargetPolicy
from agent_client.state import write_durably

POLICY_FILE = "policy.yaml"
Work = Literal["scripts", "files", "probes", "plugins"]
WORKS: tuple[Work, ...] = ("scripts", "files", "probes", "plugins")

DEFAULT_TEXT = """\
# What this host lets its server ask of it. Only its owner changes this file: no server can.
# It is read at the agent's start and at SIGHUP (systemctl reload).
# Remove a line to get its default.

# Kinds of work: scripts, files, probes, plugins. A host for probes alone: [probes]
work: [scripts, files, probes, plugins]

# Whether the server may bring this host another version of the agent: true, false, or null
# for "where scripts run", since scripts of the agent's user can replace the agent anyway.
upgrades: null

# Users that a task may run as, besides the agent's own. root must be named like any other.
run_as: []

# Directories below which files are sent and fetched; links do not lead out of them.
directories: ["~"]

# Tasks at once, whatever the configuration says; null leaves it to the configuration. Two that
# move files come on top, unless it is 0.
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


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file; an unknown key is a mistake that must be seen."""


class ProbeTargets(_Section, frozen=True):
    """Networks in CIDR notation; allow wins over deny."""

    deny: tuple[str, ...] = DENIED_NETWORKS
    allow: tuple[str, ...] = ()


class PluginRules(_Section, frozen=True):
    """Which plug-ins may be active, and whether any may be installed from the server."""

    allowed: tuple[str, ...] = ("*",)
    install: bool = False
    keys: tuple[str, ...] = ()


class Policy(_Section, frozen=True):
    """The whole policy; every check raises Rejected with code policy_denied."""

    work: tuple[Work, ...] = WORKS
    upgrades: bool | None = None
    run_as: tuple[str, ...] = ()
    directories: tuple[str, ...] = ("~",)
    max_tasks: int | None = None
    probe_targets: ProbeTargets = ProbeTargets()
    plugins: PluginRules = PluginRules()

    def check_work(self, kind: Work) -> None:
        """Refuse a kind of work that the host does not do."""
        if kind not in self.work:
            raise denied(f"work: {kind} is not among {', '.join(self.work) or 'the allowed'}")

    @property
    def allows_upgrades(self) -> bool:
        """Return whether the server may change the agent's version.

        Where scripts run it can do so anyway, as the same user. Where they do not, new
        code from the server would be a way around this very policy.
        """
        return "scripts" in self.work if self.upgrades is None else self.upgrades

    def check_upgrades(self) -> None:
        """Refuse another version of the agent where the owner has not allowed it."""
        if not self.allows_upgrades:
            raise denied("upgrades: false" if self.upgrades is False else "work: no scripts")

    def check_run_as(self, user: str) -> None:
        """Refuse a user that is not listed; "" is the agent's own."""
        if user and user != own_user() and user not in self.run_as:
            raise denied(f"run_as: {user} is not listed")

    def check_plugin(self, name: str, *, is_builtin: bool) -> None:
        """Refuse a plug-in that is not listed; "*" lists the built-in ones."""
        if name not in self.plugins.allowed and not (is_builtin and "*" in self.plugins.allowed):
            raise denied(f"plugins.allowed: {name} is not listed")

    def check_install(self) -> None:
        """Refuse to install anything where the host's owner has not allowed it."""
        if not self.plugins.install:
            raise denied("plugins.install: false")
        if not self.plugins.keys:
            raise denied("plugins.keys: no key is listed")

    def slots(self, configured: int) -> int:
        """Return how many tasks may run at once."""
        return configured if self.max_tasks is None else min(configured, self.max_tasks)

    def roots(self) -> tuple[Path, ...]:
        """Return the directories for files, absolute."""
        return tuple(Path(one).expanduser() for one in self.directories)


def denied(rule: str) -> Rejected:
    """Return the refusal that names the rule of the policy file."""
    return Rejected(f"The host's policy does not allow it ({rule}).", code="policy_denied")


def own_user() -> str:
    """Return the name of the user that the agent runs as, its number when it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def load_policy(path: Path) -> Policy:
    """Return the policy in a file, the default when there is none; raises ConfigError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return Policy()
    except OSError as error:
        raise _unusable(path, error.strerror or "cannot be read", "Check its owner.") from error
    _check_owner(path, found)
    return _parse(path, read_file(path))


def write_default(path: Path) -> None:
    """Write the default policy with its explanations, unless there is a file already."""
    if not path.exists():
        write_durably(path, DEFAULT_TEXT.encode())


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Refuse a file that somebody other than the host's owner could have written."""
    if not stat.S_ISREG(found.st_mode):
        raise _unusable(path, "is not a plain file", "Put the file itself there, no link.")
    if found.st_uid not in (0, os.geteuid()):
        raise _unusable(path, "belongs to another user", "Give it to root or to the agent's user.")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _unusable(path, "can be written by others", f"Run: chmod 600 {path}")


def _parse(path: Path, data: Mapping[str, Any]) -> Policy:
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
    return policy


def _unusable(path: Path, problem: str, remedy: str) -> ConfigError:
    """Return the error about the policy file."""
    return ConfigError("policy", str(path), problem, remedy, code="policy_unusable")
