"""The packages that are installed on this host, version by version.

    <root>/<name>/packages/<version>.tar.gz   what was signed, checked again at every start
    <root>/<name>/versions/<version>/         its files
    <root>/<name>/current                     link to the version that is known to run
    <root>/<name>/record.json                 trials and failures of the version before that
    <root>/versions.json                      the highest version that ever ran, by name

A new version is tried beside the current one; `current` is switched, atomically, when it
has run. So a version that does not come up, or an agent that dies meanwhile, leaves the
former version in place. Blocking; used by one thread at a time.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from agent_client.plugins.pack import parse_manifest
from agent_client.plugins.signing import check_signature, refused
from agent_client.plugins.unpack import is_unchanged, read_package, write_files
from agent_client.protocol.package_archive import Content
from agent_client.protocol.plugin_package import (
    MANIFEST_FILE,
    MAX_PACKAGE_BYTES,
    Manifest,
    version_key,
)
from agent_client.protocol.plugins import PluginPackage
from agent_client.state import write_durably

logger = logging.getLogger(__name__)

MAX_TRIALS = 3
"""A version that has not run after so many starts gives way to the former one."""
VERSIONS_KEPT = 3
MAX_NAMES = 1_000


class Ran(msgspec.Struct, frozen=True):
    """The highest version of a plug-in that ever ran here."""

    version: str
    sha256: str


class Record(msgspec.Struct, frozen=True):
    """What is known of one plug-in: which packages are here, and how often the newest failed."""

    current: PluginPackage | None = None
    trial: PluginPackage | None = None
    trials: int = 0
    reason: str = ""


class Installed(msgspec.Struct, frozen=True):
    """A version that can be started; note says so when it is not the wanted one."""

    directory: Path
    manifest: Manifest
    package: PluginPackage
    note: str = ""


class PackageStore:
    """The installed packages below one directory."""

    def __init__(self, root: Path, *, download: Callable[[str], bytes]) -> None:
        """download gives the bytes of a digest; raises ConnectionFailed."""
        self._root = root
        self._download = download

    def provide(self, name: str, wanted: PluginPackage, keys: Iterable[str]) -> Installed:
        """Return a version to start: the wanted one, or the former when that does not run.

        Raises Rejected for a package that must not be installed, ConnectionFailed or
        OSError when it cannot be now. Nothing is downloaded before the signature is right.
        """
        # At every start, not only at the first: keys are taken back.
        self._check(name, wanted, keys)
        record = self._record(name)
        if record.trial is not None and record.trial.sha256 == wanted.sha256:
            former = record.current
            if record.trials >= MAX_TRIALS and former is not None:
                # The former version is code, too: its key may be the one that was taken back.
                check_signature(name, former, keys)
                installed = self._ready(name, former)
                note = f"version {wanted.version} did not come up ({record.reason})"
                return msgspec.structs.replace(
                    installed, note=f"{note}; {former.version} runs instead"
                )
        elif record.current is None or record.current.sha256 != wanted.sha256:
            # Written before anything of it runs: a version that kills the agent counts too.
            record = Record(current=record.current, trial=wanted)
            self._save(name, record)
            former = record.current
            self._prune(name, {wanted.version} | ({former.version} if former else set()))
        return self._ready(name, wanted)

    def tried(self, name: str, package: PluginPackage) -> None:
        """Count a start of a version that has not run yet."""
        record = self._record(name)
        if record.trial is not None and record.trial.sha256 == package.sha256:
            self._save(name, msgspec.structs.replace(record, trials=record.trials + 1))

    def failed(self, name: str, package: PluginPackage, reason: str) -> None:
        """Note why a version did not come up."""
        record = self._record(name)
        if record.trial is not None and record.trial.sha256 == package.sha256:
            self._save(name, msgspec.structs.replace(record, reason=reason))

    def worked(self, name: str, package: PluginPackage) -> None:
        """Make a version that runs the current one, and let older ones go."""
        record = self._record(name)
        if record.trial is None or record.trial.sha256 != package.sha256:
            return
        # First the floor: a crash in between must not open the way back.
        self._raise_floor(name, package)
        link, new = self._root / name / "current", self._root / name / ".current.new"
        new.unlink(missing_ok=True)
        # A link cannot be rewritten in place; a rename over it is atomic.
        new.symlink_to(Path("versions") / package.version)
        new.replace(link)
        self._save(name, Record(current=package))
        self._prune(name, {package.version})

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove everything of plug-ins that are wanted no more, but the highest version."""
        kept = set(names)
        if not self._root.is_dir():
            return
        for directory in self._root.iterdir():
            if directory.is_dir() and directory.name not in kept:
                shutil.rmtree(directory, ignore_errors=True)

    # --- checks --------------------------------------------------------------------

    def _check(self, name: str, package: PluginPackage, keys: Iterable[str]) -> None:
        """Refuse what must not be installed, as far as can be said without the file."""
        try:
            # It becomes part of a path: nothing but numbers and dots may pass.
            key = version_key(package.version)
        except ValueError as error:
            raise refused(str(error)) from error
        if package.size_bytes > MAX_PACKAGE_BYTES:
            raise refused(f"a package has at most {MAX_PACKAGE_BYTES} bytes")
        check_signature(name, package, keys)
        highest = self._floors().get(name)
        if highest is None:
            return
        # An old version may have a hole that its author has closed since.
        if key < version_key(highest.version):
            raise refused(f"{package.version} is below {highest.version}, which ran here before")
        if key == version_key(highest.version) and package.sha256 != highest.sha256:
            raise refused(f"another package of version {package.version} ran here before")

    def _verified(self, name: str, package: PluginPackage, data: bytes) -> dict[str, Content]:
        """Return the files of exactly the signed package; raises Rejected."""
        # Cheapest first; each of them alone would be enough to refuse.
        if len(data) != package.size_bytes:
            raise refused(f"the package has {len(data)} bytes, not {package.size_bytes}")
        if hashlib.sha256(data).hexdigest() != package.sha256:
            raise refused("the package's SHA-256 is not the signed one")
        files = read_package(data)
        if MANIFEST_FILE not in files:
            raise refused(f"the package has no {MANIFEST_FILE}")
        manifest = parse_manifest(files[MANIFEST_FILE].data)
        if (manifest.name, manifest.version) != (name, package.version):
            raise refused(
                f"the package says it is {manifest.name} {manifest.version},"
                f" not {name} {package.version}"
            )
        if manifest.entry not in files:
            raise refused(f"the package lacks its entry {manifest.entry}")
        return files

    # --- files ---------------------------------------------------------------------

    def _ready(self, name: str, package: PluginPackage) -> Installed:
        """Return a version whose files are those of its package, fetched if need be."""
        home = self._root / name
        file = home / "packages" / f"{package.version}.tar.gz"
        directory = home / "versions" / package.version
        # The package itself is kept, so that a start needs no server.
        files = self._stored(name, package, file)
        if files is None:
            data = self._download(package.sha256)
            # What is written below comes from these bytes, which nobody can swap any more.
            files = self._verified(name, package, data)
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(file, data)
        # Somebody with access may have edited what was checked: run only what was signed.
        if not directory.is_dir() or not is_unchanged(files, directory):
            self._extract(files, directory)
        return Installed(directory, parse_manifest(files[MANIFEST_FILE].data), package)

    def _stored(self, name: str, package: PluginPackage, file: Path) -> dict[str, Content] | None:
        """Return the files of a package that is here already, None when it is not as signed."""
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(data).hexdigest() != package.sha256:
            logger.warning("%s is not what was signed; it is fetched again", file)
            return None
        return self._verified(name, package, data)

    def _extract(self, files: dict[str, Content], directory: Path) -> None:
        """Put the files of a version in place as a whole."""
        new = directory.with_name(f".{directory.name}.new")
        for old in (new, directory):
            # What a foreign link leads to is not ours to delete.
            if old.is_symlink():
                old.unlink()
            elif old.exists():
                shutil.rmtree(old)
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_files(files, new)
        new.rename(directory)

    def _prune(self, name: str, needed: set[str]) -> None:
        """Keep the needed versions, and the newest of the others as far as there is room."""
        home = self._root / name / "versions"
        if not home.is_dir():
            return
        versions = sorted(
            (one for one in home.iterdir() if not one.name.startswith(".")),
            key=lambda one: version_key(one.name),
            reverse=True,
        )
        others = [one for one in versions if one.name not in needed]
        for old in others[VERSIONS_KEPT - len(needed) :]:
            shutil.rmtree(old, ignore_errors=True)
            (self._root / name / "packages" / f"{old.name}.tar.gz").unlink(missing_ok=True)

    # --- records -------------------------------------------------------------------

    def _record(self, name: str) -> Record:
        """Return what is known of a plug-in; an unreadable record is as good as none."""
        try:
            data = (self._root / name / "record.json").read_bytes()
            return msgspec.json.decode(data, type=Record)
        except FileNotFoundError:
            return Record()
        except msgspec.MsgspecError as error:
            logger.warning("the record of plug-in %s cannot be read: %s", name, error)
            return Record()

    def _save(self, name: str, record: Record) -> None:
        home = self._root / name
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(home / "record.json", msgspec.json.encode(record))

    def _floors(self) -> dict[str, Ran]:
        """Return the highest versions; raises Rejected when they cannot be read.

        Not knowing them must not open the way back to a version with a known hole.
        """
        try:
            data = (self._root / "versions.json").read_bytes()
            return msgspec.json.decode(data, type=dict[str, Ran])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise refused(f"{self._root / 'versions.json'} cannot be read: {error}") from error

    def _raise_floor(self, name: str, package: PluginPackage) -> None:
        """Never accept anything below this version again."""
        floors = self._floors()
        if name not in floors and len(floors) >= MAX_NAMES:
            raise refused(f"this host has seen {MAX_NAMES} plug-ins; that must be a mistake")
        floors[name] = Ran(package.version, package.sha256)
        write_durably(self._root / "versions.json", msgspec.json.encode(floors))
