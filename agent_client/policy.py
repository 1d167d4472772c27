"""What this host lets a server ask of it: the policy of the host's owner has the last word.

Pure: a policy in, a permission or a refusal out; `policy_file` reads it. No message can
change it, so a stolen server or account can do here what the policy allows and nothing
more. What it does not name is allowed where that needs no further right: the agent's own
user, its home directory, built-in plug-ins; never the installation of code.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from agent_client.errors import Rejected
from agent_client.probes.targets import DENIED_NETWORKS

Work = Literal["scripts", "files", "probes", "plugins"]
WORKS: tuple[Work, ...] = ("scripts", "files", "probes", "plugins")
Isolation = Literal["same-user", "other-users"]


class Doubt(NamedTuple):
    """Something that the policy allows and its owner may not mean."""

    detail: str
    remedy: str


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
    run_as: tuple[str, ...] | None = None
    directories: tuple[str, ...] = ("~",)
    max_tasks: Annotated[int, msgspec.Meta(ge=0)] | None = None
    probe_targets: ProbeTargets = ProbeTargets()
    plugins: PluginRules = PluginRules()

    def check_work(self, kind: Work) -> None:
        """Refuse a kind of work that the host does not do."""
        if kind not in self.work:
            raise denied(f"work: {kind} is not among {', '.join(self.work) or 'the allowed'}")

    @property
    def users(self) -> tuple[str, ...]:
        """Return the users that a task may run as.

        An agent that is not root can use no other user than its own, so an empty list
        says nothing there. For root it says that no task may run.
        """
        is_unsaid = self.run_as is None or (not self.run_as and not is_root())
        return (own_user(),) if is_unsaid else self.run_as or ()

    @property
    def allows_own_user(self) -> bool:
        """Return whether the server may have the agent's own user do what it wants."""
        return own_user() in self.users

    @property
    def isolation(self) -> Isolation:
        """Return whether scripts run apart from the agent, or as the agent's own user."""
        return "same-user" if self.allows_own_user or not is_root() else "other-users"

    @property
    def allows_upgrades(self) -> bool:
        """Return whether the server may change the agent's version.

        Where scripts run as the agent's user it can do so anyway. Elsewhere new code from
        the server would be a way around this very policy.
        """
        if self.upgrades is not None:
            return self.upgrades
        return "scripts" in self.work and self.allows_own_user

    def check_upgrades(self) -> None:
        """Refuse another version of the agent where the owner has not allowed it."""
        if self.allows_upgrades:
            return
        if self.upgrades is False:
            raise denied("upgrades: false")
        if "scripts" not in self.work:
            raise denied("work: no scripts")
        raise denied(f"run_as: {own_user()} is not listed")

    def check_run_as(self, user: str) -> None:
        """Refuse a user that is not listed; "" is the agent's own."""
        name = user or own_user()
        if name not in self.users:
            raise denied(f"run_as: {name} is not listed")

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
        """Return the directories for files, absolute.

        Where tasks are kept from the agent's own user, "~" opens nothing: a start-up file
        there runs as that user at the next login.
        """
        opened = (one for one in self.directories if self.allows_own_user or one.rstrip("/") != "~")
        return tuple(Path(one).expanduser() for one in opened)

    def doubts(self) -> Iterator[Doubt]:
        """Yield what the owner should decide."""
        if self.run_as is None and is_root() and "scripts" in self.work:
            yield Doubt(
                f"tasks run as {own_user()}, and run_as does not say whether that is meant",
                f"Write run_as: [{own_user()}] in the policy, or name other users instead.",
            )


def denied(rule: str) -> Rejected:
    """Return the refusal that names the rule of the policy file."""
    return Rejected(f"The host's policy does not allow it ({rule}).", code="policy_denied")


def is_root() -> bool:
    """Return whether the agent may become any user of this host."""
    return os.geteuid() == 0


def own_user() -> str:
    """Return the name of the user that the agent runs as, its number when it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
