"""The versioned installation that this very process runs from, and the version on trial in it.

Owns `trial/` and `failed/` beside the versions. A trial is opened before the switch, and
ended by one rename: by the server's welcome, which removes it, or by whoever takes the
version back, which turns it into the record of the failure. Both may race; one rename
wins. Whatever is found half done at a start is brought to its end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent_client.protocol.releases import ReleaseState, WantedRelease
from agent_client.state import write_durably
from agent_client.upgrade.versions import (
    COMPLETE,
    CURRENT,
    FAILED,
    TRIAL,
    VERSIONS,
    folder_of,
    is_complete,
    switch,
)

HOME_VARIABLE = "DIALER_AGENT_HOME"
KEEP_VERSIONS = 3
MAX_DETAIL_CHARACTERS = 400


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a release does not run here; code is from the catalogue."""

    order: int
    sha256: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Installation:
    """A home directory with versions, and the one that this process runs."""

    home: Path
    folder: Path

    @property
    def sha256(self) -> str:
        """Return the digest of the wheel that runs, "" when it is not known."""
        return _text(self.folder / COMPLETE)

    # --- the trial ---------------------------------------------------------------------

    def open_trial(self, release: WantedRelease) -> None:
        """Make a built version the current one, on trial; returns before it runs."""
        fresh = self.home / (TRIAL + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        write_durably(fresh / "wanted", msgspec.json.encode(release))
        write_durably(fresh / "former", str(self.folder.relative_to(self.home)).encode())
        self._end_trial("abandoned")
        # A former failure of this very version would be taken for an unfinished way back.
        shutil.rmtree(self.home / FAILED, ignore_errors=True)
        # The marker first: a switch without it could not be taken back.
        fresh.rename(self.home / TRIAL)
        switch(self.home, folder_of(self.home, release.version, release.sha256))

    def is_on_trial(self) -> bool:
        """Return whether this process is the version that waits for its welcome."""
        wanted = self._wanted(TRIAL)
        return wanted is not None and wanted.sha256 == self.sha256

    def confirm(self) -> bool:
        """End the trial well; False when there is none of this version."""
        if not self.is_on_trial() or not self._end_trial("confirmed"):
            return False
        shutil.rmtree(self.home / FAILED, ignore_errors=True)
        return True

    def take_back(self, detail: str) -> bool:
        """Make the former version current again; False when the trial has ended otherwise."""
        former, wanted = _text(self.home / TRIAL / "former"), self._wanted(TRIAL)
        if wanted is None or not former or wanted.sha256 != self.sha256:
            return False
        shutil.rmtree(self.home / FAILED, ignore_errors=True)
        try:
            (self.home / TRIAL).rename(self.home / FAILED)
        except FileNotFoundError:
            return False
        switch(self.home, self.home / former)
        # A full disk takes the words and not the way back; the renamed trial tells the rest.
        with contextlib.suppress(OSError):
            self._write_reason(wanted, code="upgrade_taken_back", detail=detail)
        return True

    def settle(self) -> bool:
        """Bring what a former start left to its end; True when another version is current now.

        An interrupted switch leaves a trial of another version: it is dropped, and the
        server's next word begins it anew. An interrupted way back is finished.
        """
        wanted = self._wanted(TRIAL)
        if wanted is not None and wanted.sha256 != self.sha256:
            self._end_trial("abandoned")
        failed, former = self._wanted(FAILED), _text(self.home / FAILED / "former")
        if failed is None or not former or failed.sha256 != self.sha256:
            return False
        switch(self.home, self.home / former)
        return (self.home / former) != self.folder

    # --- failures ----------------------------------------------------------------------

    def record(self, release: WantedRelease, *, code: str, detail: str) -> None:
        """Remember why a release was not even tried here, until the next one is asked for."""
        shutil.rmtree(self.home / FAILED, ignore_errors=True)
        self._write_reason(release, code=code, detail=detail)

    def _write_reason(self, release: WantedRelease, *, code: str, detail: str) -> None:
        folder = self.home / FAILED
        folder.mkdir(mode=0o700, exist_ok=True)
        failure = Failure(
            order=release.order,
            sha256=release.sha256,
            code=code,
            detail=detail[-MAX_DETAIL_CHARACTERS:],
        )
        write_durably(folder / "why", msgspec.json.encode(failure))

    def failure(self) -> Failure | None:
        """Return what failed last, also when the launcher took it back; None when nothing did."""
        try:
            return msgspec.json.decode((self.home / FAILED / "why").read_bytes(), type=Failure)
        except (OSError, msgspec.MsgspecError):
            wanted = self._wanted(FAILED)
        if wanted is None:
            return None
        starts = _text(self.home / FAILED / "starts") or "0"
        detail = f"It was started {starts} times and ended before the server welcomed it."
        return Failure(
            order=wanted.order, sha256=wanted.sha256, code="upgrade_taken_back", detail=detail
        )

    def state(self, *, can_change: bool) -> ReleaseState:
        """Return what the server is told in hello."""
        failed = self.failure()
        if failed is None:
            return ReleaseState(sha256=self.sha256, can_change=can_change)
        return ReleaseState(
            sha256=self.sha256,
            can_change=can_change,
            failed_order=failed.order,
            code=failed.code,
            detail=failed.detail,
        )

    # --- the folders -------------------------------------------------------------------

    def prune(self) -> list[str]:
        """Remove versions but the newest, the running and the current one; return their names."""
        keep = {self.folder, (self.home / CURRENT).resolve()}
        keep.add(self.home / (_text(self.home / TRIAL / "former") or VERSIONS))
        folders = [path for path in (self.home / VERSIONS).iterdir() if path.is_dir()]
        built = [path for path in folders if is_complete(path)]
        built.sort(key=lambda path: (path / COMPLETE).stat().st_mtime_ns, reverse=True)
        keep.update(built[:KEEP_VERSIONS])
        # A task that outlives several upgrades is watched over by the version that began it.
        keep.update(_in_use(folders))
        gone = [path for path in folders if path not in keep]
        for path in gone:
            # Without its mark first: a removal that is interrupted leaves no whole version.
            (path / COMPLETE).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)
        return sorted(path.name for path in gone)

    def _wanted(self, name: str) -> WantedRelease | None:
        """Return which release a trial or a failure is about."""
        try:
            data = (self.home / name / "wanted").read_bytes()
            return msgspec.json.decode(data, type=WantedRelease)
        except (OSError, msgspec.MsgspecError):
            return None

    def _end_trial(self, name: str) -> bool:
        """Take the trial away by one rename; False when somebody else was first."""
        ended = self.home / f".{name}"
        shutil.rmtree(ended, ignore_errors=True)
        try:
            (self.home / TRIAL).rename(ended)
        except FileNotFoundError:
            return False
        shutil.rmtree(ended, ignore_errors=True)
        return True


def find_installation(environ: Mapping[str, str], prefix: str) -> Installation | None:
    """Return the versioned installation that a Python of that prefix belongs to, if any."""
    named = environ.get(HOME_VARIABLE, "")
    if not named:
        return None
    home, folder = Path(named).resolve(), Path(prefix).resolve()
    is_version = folder.parent == home / VERSIONS and is_complete(folder)
    return Installation(home, folder) if is_version else None


def start_current(installation: Installation) -> None:
    """Become the current version: the same process, so that a service manager sees no end.

    What this process holds is closed by the exec (files, lock, sockets); tasks go on and
    are adopted. Returns only by raising OSError.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    launcher = str(installation.home / "run")
    os.execv("/bin/sh", ["/bin/sh", launcher, *sys.argv[1:]])  # noqa: S606 - its own launcher


def _in_use(folders: list[Path]) -> set[Path]:
    """Return the versions that some process of this host was started from."""
    names = {os.fsencode(folder) + b"/": folder for folder in folders}
    found: set[Path] = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue  # it has just ended
        found.update(folder for name, folder in names.items() if name in command)
    return found


def _text(path: Path) -> str:
    """Return the one line of a small file, "" when there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
