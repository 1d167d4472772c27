"""What a script is held to: the user it runs as, and limits of its processes.

`plan` decides and checks before the fork, so that a person reads why; `apply` only does
what was decided, in the forked child, and raises OSError. Limits are the kernel's own, per
process; what counts for all processes of a task is the control group's.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import resource
from collections.abc import Mapping
from typing import Any, NamedTuple

_PR_SET_NO_NEW_PRIVS = 38
_MIB = 1024 * 1024


class RestrictError(Exception):
    """The task cannot be held to what it asks for on this host; the text says why."""


class Account(NamedTuple):
    """A user of this host, with everything that setuid needs."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    def environment(self) -> dict[str, str]:
        """Return what a fresh login sets."""
        return {
            "HOME": self.home,
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": self.shell or "/bin/sh",
        }


class Restriction(NamedTuple):
    """Everything that `apply` does; limits map a resource number to its value."""

    account: Account | None = None
    nice: int = 0
    limits: tuple[tuple[int, int], ...] = ()

    def apply(self) -> None:
        """Hold this process and all it starts to it; raises OSError. Cannot be taken back."""
        if self.nice:
            os.nice(self.nice)
        for number, value in self.limits:
            # Never above what the agent itself was given.
            _, hard = resource.getrlimit(number)
            bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (bound, bound))
        if self.account is not None:
            os.setgroups(self.account.groups)
            os.setresgid(self.account.gid, self.account.gid, self.account.gid)
            os.setresuid(self.account.uid, self.account.uid, self.account.uid)
            # A set-uid program would lead back to where the task was not allowed.
            ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def plan(spec: Mapping[str, Any], *, limited: frozenset[str]) -> Restriction:
    """Return what to apply for a task; limited is what its control group holds already.

    Raises RestrictError for an unknown user, missing rights, or a limit this host lacks.
    """
    wanted = spec.get("limits") or {}
    limits: list[tuple[int, int]] = []
    if wanted.get("memory_mb") and "memory" not in limited:
        # Second best: per process. Not the address space: CUDA reserves terabytes of it.
        limits.append((resource.RLIMIT_DATA, int(wanted["memory_mb"]) * _MIB))
    if wanted.get("open_files"):
        limits.append((resource.RLIMIT_NOFILE, int(wanted["open_files"])))
    if wanted.get("processes") and "processes" not in limited:
        # RLIMIT_NPROC counts all processes of the user, so it would be a lottery.
        raise RestrictError(
            "this host cannot limit the number of processes: the agent has no writable control"
            " group; run it as root or as a service with Delegate=yes, or drop the limit"
        )
    return Restriction(
        account=account_of(str(spec.get("run_as") or "")),
        nice=int(wanted.get("nice") or 0),
        limits=tuple(limits),
    )


def account_of(name: str) -> Account | None:
    """Return the account to run as, None for the agent's own; raises RestrictError."""
    if not name:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise RestrictError(f"there is no user {name} on this host; create it first") from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        own = pwd.getpwuid(os.geteuid()).pw_name
        raise RestrictError(f"the agent runs as {own} and cannot become {name}; run it as root")
    groups = {entry.pw_gid, *(one.gr_gid for one in grp.getgrall() if name in one.gr_mem)}
    return Account(
        name, entry.pw_uid, entry.pw_gid, tuple(sorted(groups)), entry.pw_dir, entry.pw_shell
    )
