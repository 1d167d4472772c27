"""Versions of the agent on a host: a folder each, one link to the current one, one on trial.

Standard library only, and nothing of the agent: the server sends this very text as the
first half of its installer, so that installing and upgrading lay out the same directory.
Promises that nothing is left half done: a version is built beside the others, one rename
makes it current, and a version on trial is taken back by the launcher, which belongs to
no version, when it was started three times and never confirmed. A version counts as built
when all of it is on disk, so that a power failure leaves none that only looks it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

TOKEN_VARIABLES = ("DIALER_ENROLL_TOKEN", "AGENT_ENROLL_TOKEN")
VERSIONS = "versions"
CURRENT = "current"
COMPLETE = "complete"
TRIAL = "trial"
FAILED = "failed"
PIP = "pip.whl"
"""The server's pip, beside the versions: Debian's bare python3 brings none."""
LOCK = "requirements.lock"
DIGEST_DIGITS = 64
BUILD_SECONDS = 600
"""How long one step of building may take; a package index that hangs must not hold it."""

LAUNCHER = """\
#!/bin/sh
# Starts the current version of the agent. Versions are folders; `current` is a link to one.
# The link is resolved here, so that what runs never reads files of another version.
home=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
# A new version is on trial until the server has welcomed it. However it ends before that:
# after three starts the former one runs again. This file belongs to no version.
if [ "$1" = main ] && [ -f "$home/trial/former" ]; then
  starts=$(($(cat "$home/trial/starts" 2>/dev/null || echo 0) + 1))
  if [ "$starts" -gt 3 ]; then
    ln -sfn "$(cat "$home/trial/former")" "$home/current.new"
    mv -fT "$home/current.new" "$home/current"
    rm -rf "$home/failed"
    mv "$home/trial" "$home/failed"
  else
    echo "$starts" > "$home/trial/starts"
  fi
fi
export AGENT_STATE_DIR="${AGENT_STATE_DIR:-$home}"
export AGENT_CONFIG_FILE="${AGENT_CONFIG_FILE:-$home/config.json}"
export DIALER_AGENT_HOME="$home"
# What an earlier version of this very process was started with may be gone by now.
[ "$AGENT_ENROLL_TOKEN_FILE" = "$home/enroll_token" ] && unset AGENT_ENROLL_TOKEN_FILE
[ -f "$home/enroll_token" ] && export AGENT_ENROLL_TOKEN_FILE="$home/enroll_token"
# -P: whatever lies in the directory that this is started from is no part of the agent.
exec "$(readlink -f "$home/current")/bin/python" -P -m agent_client "$@"
"""

KEEPER = """\
#!/bin/sh
# Keeps the agent alive where no systemd does. Codes 0, 2, 4, 6 and 7: a restart cannot help.
while :; do
  "$(dirname -- "$0")/run" main
  case $? in 0|2|4|6|7) exit ;; esac
  sleep 5
done
"""


class CannotInstall(Exception):
    """The host lacks something; the sentence says what and how to mend it."""


def folder_of(home: Path, version: str, sha256: str) -> Path:
    """Return where a version lies; the digest keeps two builds of one version apart."""
    return home / VERSIONS / f"{version}-{sha256[:12]}"


def is_complete(folder: Path) -> bool:
    """Return whether a version was built to its end: the mark holds its whole digest.

    A mark that is empty or cut short is what a power failure leaves.
    """
    try:
        text = (folder / COMPLETE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return False
    return len(text) == DIGEST_DIGITS and set(text) <= set("0123456789abcdef")


def build_version(folder: Path, wheel: bytes, file_name: str, sha256: str) -> None:
    """Make the folder of a version from its verified wheel; raises CannotInstall."""
    shutil.rmtree(folder, ignore_errors=True)
    # pip wants the wheel under its own name.
    file = folder.parent / file_name
    file.write_bytes(wheel)
    own_pip = folder.parent.parent / PIP
    python = str(folder / "bin/python")
    try:
        if own_pip.is_file():
            run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
            pip = [python, str(own_pip / "pip")]
        else:
            run([sys.executable, "-m", "venv", str(folder)])
            pip = [python, "-m", "pip"]
        # Wheels alone: building a package from its sources would run whatever it brings.
        run([*pip, "install", "--quiet", "--only-binary=:all:", *what_to_install(file, sha256)])
    finally:
        file.unlink(missing_ok=True)
        lock_of(file).unlink(missing_ok=True)
    # The mark must not be on disk before what it stands for: pip syncs none of its files.
    os.sync()
    # Its absence tells a later run that this one was interrupted.
    write(folder / COMPLETE, sha256, 0o644)


def what_to_install(file: Path, sha256: str) -> list[str]:
    """Return pip's arguments for a verified wheel and the packages that it needs.

    The wheel holds the digests of those: whatever index the host asks, it gets these files
    or nothing. A version from before the wheels held them names its packages alone.
    """
    with zipfile.ZipFile(file) as archive:
        names = [one for one in archive.namelist() if one.endswith(f".dist-info/{LOCK}")]
        lock = archive.read(names[0]).decode() if names else ""
    if not lock:
        return [str(file)]
    lock_of(file).write_text(f"{lock}\n{file.as_uri()} --hash=sha256:{sha256}\n")
    return ["--require-hashes", "--no-deps", "-r", str(lock_of(file))]


def lock_of(file: Path) -> Path:
    """Return where the requirements of a wheel are written for pip."""
    return file.with_suffix(".lock")


def run(command: list[str]) -> str:
    """Run a program and return what it said; raises CannotInstall with the end of it."""
    # A Python must not take modules from the directory that the agent was started in.
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONSAFEPATH": "1"}
    # No step needs a token, and the file of one is gone once the host is enrolled.
    for name in (*TOKEN_VARIABLES, "AGENT_ENROLL_TOKEN_FILE"):
        environment.pop(name, None)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=BUILD_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(f"{command[0]}: {error}") from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-1500:]
        raise CannotInstall("{} failed:\n{}".format(" ".join(command[:4]), said))
    return done.stdout


def write(path: Path, text: str, mode: int) -> None:
    """Replace a file durably; nobody sees it half written or with wider rights."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(str(temporary), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have on disk which names a folder holds."""
    descriptor = os.open(str(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_programs(home: Path) -> None:
    """Write the launcher and the keeper, which belong to no version."""
    for name, text in (("run", LAUNCHER), ("keep", KEEPER)):
        write(home / name, text, 0o700)


def switch(home: Path, folder: Path) -> None:
    """Make a version the current one by one rename, durably."""
    temporary = home / (CURRENT + ".new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.relative_to(home))
    temporary.replace(home / CURRENT)
    sync_folder(home)


def forget_trials(home: Path) -> None:
    """Drop what was tried: a person has decided anew."""
    for name in (TRIAL, FAILED):
        shutil.rmtree(home / name, ignore_errors=True)
