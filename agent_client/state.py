"""The agent's own state on disk: the lock of its directory, and who this host is.

Owns `agent.lock` (held for the life of the process, so that two agents never share one
state directory), `instance` (made once, before the registration) and `identity.json`
(there from the registration on, mode 0600: it holds the credential). Writes are atomic
and durable. Never touches the task directories.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent_client.catalogue import announce
from agent_client.errors import Terminal

logger = logging.getLogger(__name__)

_IDENTITY_FILE = "identity.json"
_INSTANCE_FILE = "instance"
_LOCK_FILE = "agent.lock"
_OTHERS = 0o077


class Identity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who this host is, as the server has told it.

    instance_id is made here, once per state directory: with it the server recognises a
    registration that is repeated because its answer got lost.
    """

    instance_id: str
    agent_id: str
    agent_token: str
    server: str = ""
    installation: str = ""
    fingerprint: str = ""
    ca_file: str = ""
    """What was trusted when the host registered; later starts need not name it again."""
    heartbeat_interval: float | None = None


class StateDirectory:
    """The state directory, locked by this process until `close`."""

    def __init__(self, path: Path) -> None:
        """Name the directory; nothing is touched before `lock`."""
        self.path = path
        self._lock: BinaryIO | None = None

    def lock(self) -> None:
        """Create the directory and lock it; raises Terminal when another agent has it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_mode & _OTHERS:
                # It holds the credential and the policy, and may be older than this rule.
                self.path.chmod(0o700)
            file = (self.path / _LOCK_FILE).open("a+b")
        except OSError as error:
            raise Terminal(f"{self.path}: {error.strerror}", code="state_unusable") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read(32).decode("ascii", "replace").strip()
            file.close()
            detail = f"{self.path} is in use by the agent with process id {holder or 'unknown'}."
            raise Terminal(detail, code="already_running") from error
        file.truncate(0)
        file.write(b"%d\n" % os.getpid())
        file.flush()
        self._lock = file

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def instance_id(self) -> str:
        """Return the id of this state directory, made and stored at the first call."""
        path = self.path / _INSTANCE_FILE
        try:
            stored = path.read_text(encoding="ascii").strip() if path.exists() else ""
            if stored:
                return stored
            made = secrets.token_hex(16)
            write_durably(path, made.encode("ascii"))
        except (OSError, ValueError) as error:
            raise Terminal(f"{path}: {error}", code="state_unusable") from error
        return made

    def load_identity(self) -> Identity | None:
        """Return who this host is, None before its registration.

        Raises Terminal when the file is there and cannot be used: a silent new identity
        would orphan everything the old one held.
        """
        path = self.path / _IDENTITY_FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=Identity)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise Terminal(f"{path}: {error}", code="state_unusable") from error

    def save_identity(self, identity: Identity) -> None:
        """Store the identity durably, readable by this user only; raises Terminal."""
        path = self.path / _IDENTITY_FILE
        try:
            write_durably(path, msgspec.json.encode(identity))
        except OSError as error:
            raise Terminal(f"{path}: {error.strerror}", code="state_unusable") from error

    def with_installation(self, identity: Identity, installation: str) -> Identity:
        """Store whose host this is and return it so; as it was when the disk refuses.

        A refusal is said and no more: whoever was welcomed goes on, and asks here again.
        """
        changed = msgspec.structs.replace(identity, installation=installation)
        try:
            self.save_identity(changed)
        except Terminal as error:
            announce(logger, "error", code=error.code, detail=error.detail, remedy=error.remedy)
            return identity
        return changed


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file as a whole, mode 0600: temporary file, fsync, rename, fsync directory."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
