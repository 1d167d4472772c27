"""The environment a person has after logging in: what scripts run with.

Asks the user's own login shell once, with a limit. Promises never to fail and never to
pass on the agent's settings or credentials: a shell that hangs or breaks gives way to a
simpler question and at last to the bare minimum.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping

TIMEOUT_SECONDS = 10.0
HANGUP_SECONDS = 1.0
_MARK = b"\0dialer-login-environment\0"
_COMMAND = r"printf '\0dialer-login-environment\0'; exec env -0"
_WITHHELD_PREFIXES = ("AGENT_", "DIALER_", "DJANGO_")
_WITHHELD = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "CUDA_VISIBLE_DEVICES"})
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT_FROM_AGENT = ("LANG", "LC_ALL", "TZ")


def read_login_environment(
    *, logger: logging.Logger, timeout_seconds: float = TIMEOUT_SECONDS
) -> dict[str, str]:
    """Return the login environment of the user this agent runs as."""
    base = base_environment(os.environ)
    # Interactive first: conda and pyenv are often set up in files only such a shell reads.
    for flags in ("-lic", "-lc"):
        found = _ask([base["SHELL"], flags, _COMMAND], base, timeout_seconds)
        if found is not None:
            found["PATH"] = joined_path(found.get("PATH", ""), base["PATH"])
            return found
    logger.warning("login shell %s gave no environment, using the minimum", base["SHELL"])
    return base


def base_environment(agent: Mapping[str, str]) -> dict[str, str]:
    """Return what the login shell starts from: who the user is, and the agent's PATH."""
    user = pwd.getpwuid(os.getuid())
    shell = user.pw_shell if os.access(user.pw_shell, os.X_OK) else "/bin/sh"
    environment = {
        "HOME": _home(agent.get("HOME", ""), user),
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "SHELL": shell,
        "PATH": agent.get("PATH") or _DEFAULT_PATH,
        "TERM": "dumb",
    }
    environment.update({name: agent[name] for name in _KEPT_FROM_AGENT if name in agent})
    return environment


def _home(given: str, user: pwd.struct_passwd) -> str:
    """Return the home the agent was given, if it is this user's: sudo passes on another's."""
    try:
        return given if os.stat(given).st_uid == user.pw_uid else user.pw_dir  # noqa: PTH116
    except OSError:
        return user.pw_dir


def parse(output: bytes) -> dict[str, str] | None:
    """Return the variables behind the mark; start-up files may have printed before it."""
    _, mark, listing = output.rpartition(_MARK)
    if not mark:
        return None
    environment = {}
    for item in listing.split(b"\0"):
        name, equals, value = item.partition(b"=")
        if equals and name:
            environment[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return {name: value for name, value in environment.items() if not _is_withheld(name)}


def joined_path(first: str, second: str) -> str:
    """Return both paths, doubles dropped: programs only the agent's PATH has come last."""
    parts = [part for part in f"{first}:{second}".split(":") if part]
    return ":".join(dict.fromkeys(parts))


def _is_withheld(name: str) -> bool:
    return name in _WITHHELD or name.startswith(_WITHHELD_PREFIXES)


def _ask(
    command: list[str], environment: Mapping[str, str], timeout_seconds: float
) -> dict[str, str] | None:
    """Return the answer of one shell, None when it fails, hangs or says nothing."""
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=environment["HOME"] if os.path.isdir(environment["HOME"]) else "/",  # noqa: PTH112
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_hear_hangups,
        )
    except OSError:
        return None
    with process:
        try:
            output, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            _hang_up(process)
            return None
    return parse(output) if process.returncode == 0 else None


def _hear_hangups() -> None:
    """Undo what nohup did to this agent: its children would not hear a hang-up either."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    """End a shell with all it started, as a terminal does that is closed.

    HUP first: start-up files hold locks (pyenv's of its shims) that a KILL would leave behind
    for every later login of the user.
    """
    for number in (signal.SIGHUP, signal.SIGKILL):
        # Not reaped yet, or the first round would have ended it: the group is still ours.
        os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=HANGUP_SECONDS)
            return
