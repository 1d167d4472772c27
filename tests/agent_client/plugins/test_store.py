"""Installed packages: what must not be installed is not, and what does not run gives way."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from agent_client.errors import Rejected
from agent_client.plugins.pack import pack
from agent_client.plugins.store import MAX_TRIALS, VERSIONS_KEPT, PackageStore
from agent_client.protocol.plugins import PluginPackage
from agent_client.transport.base import ConnectionFailed
from tests.agent_client.plugins.packages import Author, archive


class Host:
    """A store whose server has any packages."""

    def __init__(self, directory: Path, author: Author) -> None:
        self.root = directory / "plugins"
        self.keys = [author.public]
        self.server: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.store = PackageStore(self.root, download=self.download)

    def download(self, sha256: str) -> bytes:
        self.asked.append(sha256)
        if sha256 not in self.server:
            raise ConnectionFailed("no such package")
        return self.server[sha256]

    def offer(self, package: PluginPackage, data: bytes) -> PluginPackage:
        self.server[package.sha256] = data
        return package

    def provide(self, package: PluginPackage):
        return self.store.provide("demo", package, self.keys)

    def run(self, package: PluginPackage) -> None:
        """Start a version that comes up."""
        found = self.provide(package)
        self.store.tried("demo", found.package)
        self.store.worked("demo", found.package)

    def fail(self, package: PluginPackage):
        """Start a version that does not come up."""
        found = self.provide(package)
        self.store.tried("demo", found.package)
        self.store.failed("demo", found.package, "it crashed")
        return found

    def versions(self) -> set[str]:
        place = self.root / "demo" / "versions"
        return {one.name for one in place.iterdir()} if place.exists() else set()

    def current(self) -> str:
        return (self.root / "demo" / "current").resolve().name


@pytest.fixture
def author(tmp_path) -> Author:
    return Author(tmp_path / "author")


@pytest.fixture
def host(tmp_path, author) -> Host:
    return Host(tmp_path, author)


def test_package_is_installed_once_and_becomes_current_when_it_ran(host, author):
    package = host.offer(*author.package("1.0"))
    found = host.provide(package)
    assert (found.directory / found.manifest.entry).is_file()
    assert not (host.root / "demo" / "current").exists()
    host.run(package)
    host.provide(package)
    assert host.current() == "1.0"
    assert len(host.asked) == 1


# --- what must not be installed ----------------------------------------------------------


def wrong_key(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    return host.offer(*Author(tmp_path / "stranger").package("1.0"))


def unsigned(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    return msgspec.structs.replace(host.offer(*author.package("1.0")), signature="")


def renamed(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    """A signature that was given to another plug-in."""
    package, data = author.package("1.0", name="other")
    return host.offer(package, data)


def other_manifest(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    """Signed as this plug-in, but its manifest says another."""
    data = pack(author.source("1.0", name="other")).data
    return host.offer(author.signed("1.0", data), data)


def other_version(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    data = pack(author.source("1.0")).data
    return host.offer(author.signed("2.0", data), data)


def tampered(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    package, data = author.package("1.0")
    return host.offer(package, data[:-1] + bytes([data[-1] ^ 1]))


def swapped(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    """A good signature, and another package of the same author under its digest."""
    package, _ = author.package("2.0")
    return host.offer(package, author.package("1.0")[1])


def wrong_size(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    package, data = author.package("1.0")
    return msgspec.structs.replace(host.offer(package, data), size_bytes=len(data) - 1)


def huge(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    package, data = author.package("1.0")
    return msgspec.structs.replace(host.offer(package, data), size_bytes=10**12)


def wrong_version(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    data = pack(author.source("1.0")).data
    return host.offer(author.signed("../../1.0", data), data)


def hostile_archive(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    data = archive(
        ("manifest.yaml", b"name: demo\nversion: '1.0'\nentry: main.py"),
        ("main.py", b""),
        ("../../../escape", b"x"),
    )
    return host.offer(author.signed("1.0", data), data)


def no_archive(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    return host.offer(author.signed("1.0", b"hello"), b"hello")


def no_manifest(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    data = archive(("main.py", b""))
    return host.offer(author.signed("1.0", data), data)


def no_entry(host: Host, author: Author, tmp_path: Path) -> PluginPackage:
    data = archive(("manifest.yaml", b"name: demo\nversion: '1.0'\nentry: main.py"))
    return host.offer(author.signed("1.0", data), data)


BAD = [
    wrong_key,
    unsigned,
    renamed,
    other_manifest,
    other_version,
    tampered,
    swapped,
    wrong_size,
    huge,
    wrong_version,
    hostile_archive,
    no_archive,
    no_manifest,
    no_entry,
]


@pytest.mark.parametrize("kind", BAD)
def test_bad_package_is_refused_and_nothing_of_it_is_installed(host, author, tmp_path, kind):
    package = kind(host, author, tmp_path)
    with pytest.raises(Rejected) as refusal:
        host.provide(package)
    assert refusal.value.code == "package_refused"
    assert host.versions() == set()
    assert not list(host.root.rglob("*.tar.gz"))
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize("kind", [wrong_key, unsigned, renamed, huge, wrong_version])
def test_nothing_is_fetched_before_the_signature_is_right(host, author, tmp_path, kind):
    with pytest.raises(Rejected):
        host.provide(kind(host, author, tmp_path))
    assert host.asked == []


def test_version_never_goes_back(host, author):
    host.run(host.offer(*author.package("1.10")))
    with pytest.raises(Rejected, match=r"below 1\.10"):
        host.provide(host.offer(*author.package("1.9")))


def test_version_does_not_go_back_after_it_was_removed(host, author):
    host.run(host.offer(*author.package("2.0")))
    host.store.keep_only([])
    assert not (host.root / "demo").exists()
    with pytest.raises(Rejected, match=r"below 2\.0"):
        host.provide(host.offer(*author.package("1.0")))
    host.run(host.offer(*author.package("2.0")))


def test_version_does_not_go_back_when_its_record_is_spoiled(host, author):
    host.run(host.offer(*author.package("2.0")))
    (host.root / "versions.json").write_text("{")
    with pytest.raises(Rejected, match="cannot be read"):
        host.provide(host.offer(*author.package("1.0")))


def test_same_version_with_other_content_is_refused(host, author):
    host.run(host.offer(*author.package("1.0")))
    with pytest.raises(Rejected, match="another package of version"):
        host.provide(host.offer(*author.package("1.0", value=2)))


def test_package_is_refused_when_its_key_is_taken_back(host, author):
    package = host.offer(*author.package("1.0"))
    host.run(package)
    host.keys = []
    with pytest.raises(Rejected, match="not signed"):
        host.provide(package)


# --- swapped after the check ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["main.py", "sdk.py"])
def test_files_that_were_changed_after_the_check_are_not_run(host, author, name):
    package = host.offer(*author.package("1.0"))
    host.run(package)
    place = host.provide(package).directory
    before = (place / name).read_bytes()
    (place / name).write_text("import os; os.system('evil')")
    assert (host.provide(package).directory / name).read_bytes() == before
    assert len(host.asked) == 1


def test_file_that_was_added_after_the_check_is_gone(host, author):
    package = host.offer(*author.package("1.0"))
    place = host.provide(package).directory
    (place / "json.py").write_text("evil")
    host.provide(package)
    assert not (place / "json.py").exists()


def test_directory_that_became_a_link_is_replaced(host, author, tmp_path):
    package = host.offer(*author.package("1.0"))
    place = host.provide(package).directory
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "main.py").write_text("evil")
    assert "evil" not in (host.provide(package).directory / "main.py").read_text()
    assert not place.is_symlink()
    assert (tmp_path / "elsewhere" / "main.py").read_text() == "evil"  # not ours to delete


def test_stored_package_that_was_changed_is_fetched_again(host, author):
    package = host.offer(*author.package("1.0"))
    host.run(package)
    file = host.root / "demo" / "packages" / "1.0.tar.gz"
    file.write_bytes(b"evil")
    host.provide(package)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == package.sha256
    assert len(host.asked) == 2


# --- trials --------------------------------------------------------------------------------


def test_version_that_does_not_come_up_gives_way_to_the_former(host, author):
    former, new = host.offer(*author.package("1.0")), host.offer(*author.package("2.0"))
    host.run(former)
    for _ in range(MAX_TRIALS):
        assert host.fail(new).package == new
    found = host.provide(new)
    assert found.package == former
    assert "2.0 did not come up (it crashed); 1.0 runs instead" in found.note
    assert host.current() == "1.0"


def test_former_version_may_be_wanted_again_after_a_failed_one(host, author):
    former, new = host.offer(*author.package("1.0")), host.offer(*author.package("2.0"))
    host.run(former)
    for _ in range(MAX_TRIALS):
        host.fail(new)
    assert host.provide(former).note == ""
    third = host.offer(*author.package("3.0"))
    host.run(third)
    assert host.current() == "3.0"


def test_first_version_is_tried_on_and_on(host, author):
    only = host.offer(*author.package("1.0"))
    for _ in range(MAX_TRIALS + 2):
        assert host.fail(only).package == only


def test_trials_count_although_the_agent_dies(host, author):
    former, new = host.offer(*author.package("1.0")), host.offer(*author.package("2.0"))
    host.run(former)
    for _ in range(MAX_TRIALS):
        again = PackageStore(host.root, download=host.download)
        again.tried("demo", again.provide("demo", new, host.keys).package)
    assert host.provide(new).package == former


def test_former_version_goes_on_being_tried_when_the_server_is_away(host, author):
    package = author.package("1.0")[0]
    with pytest.raises(ConnectionFailed):
        host.provide(package)
    assert host.versions() == set()


# --- bounds ----------------------------------------------------------------------------------


def test_only_the_newest_versions_are_kept(host, author):
    for minor in range(VERSIONS_KEPT + 3):
        host.run(host.offer(*author.package(f"1.{minor}")))
    newest = {f"1.{minor}" for minor in range(3, VERSIONS_KEPT + 3)}
    assert host.versions() == newest
    kept = {file.name.removesuffix(".tar.gz") for file in host.root.rglob("*.tar.gz")}
    assert kept == newest


def test_versions_that_never_ran_do_not_pile_up(host, author):
    host.run(host.offer(*author.package("1.0")))
    for major in range(2, 9):
        host.fail(host.offer(*author.package(f"{major}.0")))
    assert "1.0" in host.versions()
    assert len(host.versions()) <= VERSIONS_KEPT + 1


def test_plugin_that_is_wanted_no_more_is_removed(host, author):
    host.run(host.offer(*author.package("1.0")))
    (host.root / "cpu" / "state").mkdir(parents=True)
    host.store.keep_only(["cpu"])
    assert {one.name for one in host.root.iterdir()} == {"cpu", "versions.json"}
