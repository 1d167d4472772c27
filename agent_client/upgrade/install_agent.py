"""The installer that a new host runs: Python's standard library only, one file, no server code.

The server sends `versions.py`, then this text without its import of that file, then one
call of `install`. Promises that nothing is left half done: a version is built beside the
others and one rename makes it current. The enrolment token comes by the environment or by
standard input, never in an address.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib
import json
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

from agent_client.upgrade.versions import (
    PIP,
    TOKEN_VARIABLES,
    CannotInstall,
    build_version,
    folder_of,
    forget_trials,
    is_complete,
    run,
    switch,
    write,
    write_programs,
)

ONLINE_SECONDS = 45
STOP_SECONDS = 60
UNIT = "dialer-agent.service"

# KillMode=process: a restart of the agent must not end the tasks, which are adopted.
# Delegate=yes: the agent makes a control group for each task below its own.
SERVICE = """\
[Unit]
Description=Dialer agent
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={launcher} main
ExecReload=/bin/kill -HUP $MAINPID
KillMode=process
Delegate=yes
Restart=always
RestartSec=2
RestartPreventExitStatus=2 4 6 7
WatchdogSec=60

[Install]
WantedBy={target}
"""


def install(server: str, wheel: str, sha256: str, version: str, pip_sha256: str = "") -> int:
    """Install the agent, start it and wait until the server knows it; returns the exit code.

    pip_sha256 is the digest of the pip that the server offers, "" when it offers none.
    """
    options = read_options(sys.argv[1:])
    try:
        require_python(has_pip=bool(pip_sha256))
        home = Path.home() / ".dialer-agent"
        make_private(home)
        require_encryption(home, server, options)
        token = read_token(home)
        if pip_sha256:
            take_pip(home, f"{server}/agent/{PIP}", pip_sha256, options)
        folder = install_version(home, server + wheel, sha256, version, options)
        write_settings(home, server, token, options)
        forget_trials(home)
        switch(home, folder)
        say("Starting: " + start(home))
        return wait_until_online(home)
    except CannotInstall as error:
        say(f"The agent was not installed: {error}")
        return 1


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return what the owner says of the way to the server; ends the program when wrong."""
    parser = argparse.ArgumentParser(prog="install.py", description="Installs the Dialer agent.")
    parser.add_argument("--ca-file", default="", help="authorities of the server's certificate")
    parser.add_argument("--server-fingerprint", default="", help="the only certificate to trust")
    parser.add_argument(
        "--allow-plain-http", action="store_true", help="send the credential unencrypted"
    )
    return parser.parse_args(arguments)


def say(text: str) -> None:
    """Print one line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def require_python(*, has_pip: bool) -> None:
    """Raise CannotInstall for a Python that cannot run the agent; has_pip: one is offered."""
    if sys.version_info < (3, 11):  # noqa: UP036 - it is the host's Python, whatever that is
        raise CannotInstall(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}. "
            "Run the command with another one, for example python3.12."
        )
    if not sys.platform.startswith("linux"):
        raise CannotInstall(f"only Linux is supported, this is {sys.platform}.")
    # Debian's bare python3 has venv and no ensurepip, which holds pip.
    needed = ["venv"] if has_pip else ["venv", "ensurepip"]
    for name in needed:
        try:
            importlib.import_module(name)
        except ImportError:
            raise CannotInstall(
                f"Python's {name} module is missing. On Debian and Ubuntu: apt install python3-venv"
            ) from None
    say(f"Python {sys.version.split()[0]}")


def make_private(home: Path) -> None:
    """Create the agent's directory for its owner alone."""
    home.mkdir(mode=0o700, exist_ok=True)
    home.chmod(0o700)
    (home / "versions").mkdir(mode=0o700, exist_ok=True)


def require_encryption(home: Path, server: str, options: argparse.Namespace) -> None:
    """Raise CannotInstall for a new host whose agent would refuse the server's address."""
    host = urllib.parse.urlsplit(server).hostname or ""
    is_here = host in ("localhost", "::1") or host.startswith("127.")
    is_known = options.allow_plain_http or (home / "config.json").exists()
    if server.startswith("http:") and not is_here and not is_known:
        raise CannotInstall(
            f"{server} is not encrypted: whoever listens gets this host's credential. "
            "Use https, or on a network you trust add --allow-plain-http."
        )


def read_token(home: Path) -> str:
    """Return the enrolment token; empty for a host that has its identity already."""
    if (home / "identity.json").exists():
        say("This host is enrolled already; it keeps its identity.")
        return ""
    for name in TOKEN_VARIABLES:
        if os.environ.get(name, "").strip():
            return os.environ[name].strip()
    token = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.readline().strip()
    if not token:
        raise CannotInstall("there is no enrolment token. Set DIALER_ENROLL_TOKEN.")
    return token


def take_pip(home: Path, url: str, sha256: str, options: argparse.Namespace) -> None:
    """Have the server's pip in the agent's directory, for this version and later ones."""
    path = home / PIP
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
        return
    data = download(url, context_for(options))
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CannotInstall("the downloaded pip does not have the hash that was announced.")
    temporary = path.with_suffix(".new")
    temporary.write_bytes(data)
    temporary.replace(path)


def install_version(
    home: Path, url: str, sha256: str, version: str, options: argparse.Namespace
) -> Path:
    """Return the folder of the version, made anew from the verified wheel."""
    wheel = download(url, context_for(options))
    if hashlib.sha256(wheel).hexdigest() != sha256:
        raise CannotInstall("the downloaded wheel does not have the hash that was announced.")
    folder = folder_of(home, version, sha256)
    if not is_complete(folder):
        say(f"Installing version {version} into {folder}")
        build_version(folder, wheel, url.rpartition("/")[2], sha256)
    return folder


def context_for(options: argparse.Namespace) -> ssl.SSLContext | None:
    """Return how to check the server's certificate; None for the public authorities."""
    if options.server_fingerprint:
        # Nothing secret is sent here and the wheel's hash is known: it is the proof. The
        # agent itself checks the fingerprint before it sends a token.
        return ssl._create_unverified_context()  # noqa: S323
    if not options.ca_file:
        return None
    try:
        return ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise CannotInstall(f"--ca-file {options.ca_file} cannot be used: {error}") from None


def download(url: str, context: ssl.SSLContext | None) -> bytes:
    """Return what the server has at the address; raises CannotInstall."""
    try:
        with urllib.request.urlopen(url, timeout=60, context=context) as answer:  # noqa: S310 - ours
            return bytes(answer.read())
    except (OSError, ValueError) as error:
        raise CannotInstall(f"{url} cannot be read: {error}") from None


def write_settings(home: Path, server: str, token: str, options: argparse.Namespace) -> None:
    """Write the launcher, the token, and of the configuration what is not there yet."""
    write_programs(home)
    path = home / "config.json"
    try:
        settings: dict[str, Any] = (
            json.loads(path.read_text()) if path.exists() else new_settings(home, server)
        )
    except ValueError as error:
        raise CannotInstall(f"{path} is not JSON: {error}") from None
    trust = {
        "ca_file": str(Path(options.ca_file).resolve()) if options.ca_file else "",
        "server_fingerprint": options.server_fingerprint,
        "allow_plain_http": options.allow_plain_http,
    }
    named = {key: value for key, value in trust.items() if value}
    if named:
        settings["connection"] = {**settings.get("connection", {}), **named}
    if named or not path.exists():
        write(path, json.dumps(settings, indent=2) + "\n", 0o600)
    if token:
        write(home / "enroll_token", token, 0o600)


def new_settings(home: Path, server: str) -> dict[str, Any]:
    """Return the configuration of a host that has none yet."""
    return {
        "agent_server_url": server,
        "agent_name": os.environ.get("DIALER_AGENT_NAME") or socket.gethostname(),
        "logging": {"log_dir": str(home / "logs")},
    }


def start(home: Path) -> str:
    """Start the agent by the best way the host has; returns which in words."""
    is_root = os.geteuid() == 0
    scope = [] if is_root else ["--user"]
    if not has_systemd(scope):
        stop_former(home)
        subprocess.Popen(
            ["/bin/sh", str(home / "keep")],
            cwd=str(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return (
            "without systemd, until this host restarts. For a start at boot add to crontab: "
            f"@reboot {home}/keep"
        )
    folder = Path("/etc/systemd/system" if is_root else Path.home() / ".config/systemd/user")
    folder.mkdir(parents=True, exist_ok=True)
    target = "multi-user.target" if is_root else "default.target"
    write(folder / UNIT, SERVICE.format(launcher=home / "run", target=target), 0o644)
    if not is_root:
        # Without lingering the agent would end when the user logs out.
        name = pwd.getpwuid(os.geteuid()).pw_name
        subprocess.run(["loginctl", "enable-linger", name], capture_output=True)
    run(["systemctl", *scope, "daemon-reload"])
    run(["systemctl", *scope, "enable", UNIT])
    run(["systemctl", *scope, "restart", "--no-block", UNIT])
    return "systemd unit %s" % (folder / UNIT)


def stop_former(home: Path) -> None:
    """End the agent that runs here, if one does; its tasks go on and are adopted by the next."""
    with (home / "agent.lock").open("a+") as lock:
        lock.seek(0)
        holder = lock.read().strip()
        deadline = time.monotonic() + STOP_SECONDS
        is_told = False
        # The lock tells whether it runs; a process id in a file alone may be anybody's by now.
        while not take(lock):
            if not is_told and holder.isdigit():
                os.kill(int(holder), signal.SIGTERM)
                is_told = True
            if time.monotonic() > deadline:
                raise CannotInstall(f"the running agent (process {holder}) does not end.")
            time.sleep(0.1)


def take(lock: IO[str]) -> bool:
    """Return whether nobody holds the lock; it is free again when the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def has_systemd(scope: list[str]) -> bool:
    """Return whether a systemd answers in that scope and the owner wants it used."""
    if os.environ.get("DIALER_AGENT_SERVICE") == "none":
        return False
    if not Path("/run/systemd/system").is_dir() or not shutil.which("systemctl"):
        return False
    asked = subprocess.run(["systemctl", *scope, "show-environment"], capture_output=True)
    return asked.returncode == 0


def wait_until_online(home: Path) -> int:
    """Wait until the agent says it is well; returns the exit code for the shell."""
    deadline = time.monotonic() + ONLINE_SECONDS
    while time.monotonic() < deadline:
        asked = subprocess.run([str(home / "run"), "status"], capture_output=True, text=True)
        if asked.returncode == 0:
            (home / "enroll_token").unlink(missing_ok=True)
            say("The agent is online.")
            return 0
        time.sleep(0.5)
    say(asked.stdout + asked.stderr)
    say("The agent is installed and not online yet. Its log is in %s." % (home / "logs"))
    return 3
