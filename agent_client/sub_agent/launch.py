"""From spec and order to a waiting script process: what to run, with what environment.

Owns the script file and the working directory. The script's process is forked, put into
its own session and then waits on a start pipe, so that its identity is on disk before
its first instruction. Errors a person can mend raise StartError with the remedy.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from agent_client.sub_agent import records
from agent_client.sub_agent.errors import StartError
from agent_client.sub_agent.group import Group
from agent_client.sub_agent.mover import mover
from agent_client.sub_agent.restrict import Account, Restriction

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POWERSHELL_SCRIPT = "script.ps1"
_UMASK = 0o022
_EXIT_NOT_STARTED = 127
_SCRIPT_MODE, _SHARED_SCRIPT_MODE = 0o700, 0o755
_GO = b"g"
_LANGUAGE = ("LANG", "LC_ALL", "TZ")
_MOVER_LOGIN = ("HOME", "USER", "LOGNAME", *_LANGUAGE, "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What a transfer needs of the login: what "~" is, and which authorities OpenSSL believes."""


class Plan(NamedTuple):
    """Everything the script's process needs, checked as far as it can be beforehand."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    working_dir: str
    cpu_ids: tuple[int, ...]
    restriction: Restriction = Restriction()
    group: Group = Group()
    inherited: tuple[int, ...] = ()
    """What is passed on open: another user may not walk through our directories to it."""


class Pipes(NamedTuple):
    """The write ends that become the script's stdout and stderr (may be the same)."""

    stdout: int
    stderr: int


class WaitingScript(NamedTuple):
    """A forked script that waits for release(); `errors` ends or says why exec failed."""

    pid: int
    start: int
    errors: int

    def release(self) -> None:
        """Let the script begin."""
        # A script killed while it waited has closed its end; its status tells.
        with contextlib.suppress(BrokenPipeError):
            os.write(self.start, _GO)
        os.close(self.start)


def make_plan(
    directory: str,
    spec: Mapping[str, Any],
    order: Mapping[str, Any],
    *,
    restriction: Restriction | None = None,
    group: Group | None = None,
) -> Plan:
    """Write the script's file and work out how to run it; raises StartError or OSError."""
    restriction = restriction or Restriction()
    account = restriction.account
    if spec.get("kind", "script") == "script":
        environment = script_environment(directory, spec, order, account=account)
        argv, inherited = _script(directory, spec, environment, account)
        asked = str(spec.get("working_dir") or "")
    else:
        environment = mover_environment(directory, spec, order, account=account)
        argv, inherited = mover(directory, spec, order)
        asked = ""
    return Plan(
        argv=argv,
        environment=environment,
        working_dir=_working_dir(directory, asked, environment, account=account),
        cpu_ids=tuple(order.get("cpu_ids") or ()),
        restriction=restriction,
        group=group or Group(),
        inherited=inherited,
    )


def _script(
    directory: str,
    spec: Mapping[str, Any],
    environment: Mapping[str, str],
    account: Account | None,
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Write the script; return the command that runs it and the descriptors it needs open."""
    file, argv = _command(directory, spec, environment.get("PATH", _DEFAULT_PATH))
    if account is None:
        return argv, ()
    if spec.get("script_type") == "powershell":
        raise StartError("PowerShell scripts cannot run as another user; use shell or python")
    os.chmod(file, _SHARED_SCRIPT_MODE)
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    named = tuple(f"/proc/self/fd/{descriptor}" if part == file else part for part in argv)
    return named, (descriptor,)


def script_environment(
    directory: str,
    spec: Mapping[str, Any],
    order: Mapping[str, Any],
    *,
    account: Account | None = None,
) -> dict[str, str]:
    """Return the script's environment: login, then the task's own, then what is booked.

    The booking comes last, so that a task cannot take a GPU it was not given by a variable.
    Another user gets nothing of the agent's own login but the language.
    """
    environment = {"PATH": _DEFAULT_PATH}
    login = order.get("environment") or {}
    if account is None:
        environment.update(login)
    else:
        environment.update((name, login[name]) for name in _LANGUAGE if name in login)
        environment.update(account.environment())
    environment.update(spec.get("env") or {})
    environment.setdefault("PYTHONUNBUFFERED", "1")
    environment.update(_booked(directory, spec, order))
    return environment


def mover_environment(
    directory: str,
    spec: Mapping[str, Any],
    order: Mapping[str, Any],
    *,
    account: Account | None = None,
) -> dict[str, str]:
    """Return the environment of a transfer: fixed names of the host's, none of the task's own.

    A host that allows files but no scripts must run no code of the server's, and a variable
    such as LD_PRELOAD would bring some.
    """
    login = order.get("environment") or {}
    names = _MOVER_LOGIN if account is None else _LANGUAGE
    environment = {"PATH": _DEFAULT_PATH}
    environment.update((name, login[name]) for name in names if name in login)
    if account is not None:
        environment.update(account.environment())
    environment.update(_booked(directory, spec, order))
    return environment


def _booked(directory: str, spec: Mapping[str, Any], order: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells a process which task it is and what is booked for it."""
    return {
        "DIALER_TASK_ID": str(spec["task_id"]),
        "DIALER_TASK_NAME": str(spec.get("name", "")).replace("\0", ""),
        "DIALER_PRIORITY": str(spec.get("priority", 3)),
        "DIALER_OFFER": str(spec["offer"]),
        "DIALER_TASK_DIRECTORY": directory,
        "DIALER_CPU_CORES": str(len(order.get("cpu_ids") or ())),
        "CUDA_VISIBLE_DEVICES": ",".join(order.get("gpu_ids") or ()),
    }


def environment_marker(directory: str) -> bytes:
    """Return the variable by which the processes of a task are known.

    The full path, because ids recur in the state directories of other agents on this host.
    """
    return b"DIALER_TASK_DIRECTORY=" + os.fsencode(directory)


def fork_script(plan: Plan, pipes: Pipes) -> WaitingScript:
    """Fork the script's process; it waits until released and dies if this process does."""
    start_read, start_write = os.pipe()
    errors_read, errors_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Only reachable code of the child: it must never return into the caller.
        try:
            os.close(start_write)
            os.close(errors_read)
            _become_script(plan, pipes, start_read)
        except BaseException as error:  # noqa: BLE001 - reported through the pipe, then gone
            text = f"{error.__class__.__name__}: {error}"
            reason = describe_exec_error(error, plan) if isinstance(error, OSError) else text
            os.write(errors_write, reason.encode("utf-8", "replace")[:4096])
        finally:
            os._exit(_EXIT_NOT_STARTED)
    os.close(start_read)
    os.close(errors_write)
    return WaitingScript(pid, start_write, errors_read)


def describe_exec_error(error: OSError, plan: Plan) -> str:
    """Return what hindered the script's first step, with the remedy."""
    text = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return f"{_shebang(plan.argv[0])}: no such program; install it or change the first line"
    if isinstance(error, PermissionError):
        return (
            f"cannot run {plan.argv[0]} in {plan.working_dir}: {text}; check the permissions, and"
            " that the agent's state directory is not mounted noexec"
        )
    return f"cannot run {plan.argv[0]} in {plan.working_dir}: {text}"


def _become_script(plan: Plan, pipes: Pipes, start_read: int) -> NoReturn:
    """Turn this forked child into the script; raises OSError when that fails."""
    os.setsid()
    os.umask(_UMASK)
    _reset_signals()
    if plan.cpu_ids:
        # A core may have gone offline, or the call be missing: run unpinned rather than not.
        with contextlib.suppress(OSError, AttributeError):
            os.sched_setaffinity(0, plan.cpu_ids)
    plan.group.join()
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (pipes.stdout, 1), (pipes.stderr, 2)):
        os.dup2(source, target)
    if os.read(start_read, 1) != _GO:
        os._exit(_EXIT_NOT_STARTED)
    for descriptor in plan.inherited:
        os.set_inheritable(descriptor, True)
    plan.restriction.apply()
    os.chdir(plan.working_dir)
    os.execve(plan.argv[0], plan.argv, plan.environment)  # noqa: S606 - the point of it all


def _reset_signals() -> None:
    """Give the script the signal state of a fresh login; ignored signals survive exec."""
    for number in range(1, signal.NSIG):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _command(directory: str, spec: Mapping[str, Any], path: str) -> tuple[str, tuple[str, ...]]:
    """Write the script as it was given; return its file and the command that runs it."""
    kind = spec.get("script_type", "shell")
    content = str(spec.get("script_content", "")).encode("utf-8", "surrogatepass")
    file = os.path.join(directory, _POWERSHELL_SCRIPT if kind == "powershell" else records.SCRIPT)
    _write_script(file, content)
    if kind == "python":
        return file, (_find(("python3",), path, "Python scripts"), file)
    if kind == "powershell":
        program = _find(("pwsh", "powershell"), path, "PowerShell scripts")
        return file, (program, "-NoProfile", "-NonInteractive", "-File", file)
    if content.startswith(b"#!"):
        return file, (file,)
    return file, (_find(("/bin/bash", "/bin/sh"), path, "shell scripts"), file)


def _write_script(file: str, content: bytes) -> None:
    """Write the script executable for its owner only."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _SCRIPT_MODE)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _find(names: Sequence[str], path: str, purpose: str) -> str:
    """Return the first program found on the script's own PATH; raises StartError."""
    for name in names:
        directories = [""] if os.path.isabs(name) else path.split(os.pathsep)
        for directory in directories:
            candidate = os.path.join(directory, name)
            if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                return candidate
    wanted = " or ".join(names)
    raise StartError(f"{wanted} is not on this host's PATH; install it to run {purpose} here")


def _working_dir(
    directory: str, asked: str, environment: Mapping[str, str], *, account: Account | None = None
) -> str:
    """Return the directory to run in; the task's own is made, an asked one must exist.

    Another user cannot enter the task's own directory and gets its home.
    """
    if not asked and account is not None:
        return account.home if os.path.isdir(account.home) else "/"
    if not asked:
        work = os.path.join(directory, records.WORK)
        os.makedirs(work, mode=0o700, exist_ok=True)
        return work
    if asked == "~" or asked.startswith("~/"):
        asked = environment.get("HOME", "/") + asked[1:]
    if not os.path.isabs(asked):
        raise StartError(f"working_dir {asked!r} is not absolute; give a full path on this host")
    if not os.path.isdir(asked):
        raise StartError(f"working_dir {asked} does not exist on this host; create it or change it")
    if account is None and not os.access(asked, os.X_OK):
        raise StartError(f"working_dir {asked} may not be entered; change its permissions")
    return asked


def _shebang(file: str) -> str:
    """Return the interpreter a script names, made visible (a Windows line end shows as \\r)."""
    try:
        with open(file, "rb") as stream:
            first = stream.readline(256)
    except OSError:
        return file
    if not first.startswith(b"#!"):
        return file
    return repr(first[2:].rstrip(b"\n").decode("utf-8", "replace"))
