"""Packages: what is kept, what is refused before anything is written."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from agent_client.protocol import package_archive
from agents.plugins import package_files, packages
from agents.plugins.models import PluginPackage
from agents.plugins.packages import delete_package, read, upload_package
from agents.plugins.services import Change, set_plugin
from dialer_platform.accounts.models import AuditEvent
from dialer_platform.errors import Conflict, Invalid, NotFound, TooLarge
from dialer_platform.storage.free_space import DiskFull
from tests.agents.plugins.conftest import MANIFEST, SIGNATURE

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings, tmp_path):
    """Return the directory of packages, of this test alone."""
    settings.DIALER_DATA_DIR = tmp_path
    return tmp_path / "plugins"


def upload(data: bytes, signature: str = SIGNATURE, tenant_id: str = "default") -> PluginPackage:
    """Upload as a person would."""
    return upload_package(tenant_id=tenant_id, data=data, signature=signature, by="test")


def test_package_is_kept_byte_for_byte_and_audited(tenant, archive):
    data = archive()
    package = upload(data)
    assert (package.name, package.version) == ("gpu_temperature", "1.2.0")
    assert package.size_bytes == len(data)
    assert read(package) == data
    assert packages.path_of(package.sha256).stat().st_mode & 0o777 == 0o600
    assert AuditEvent.objects.get(action="plugin.upload").detail["sha256"] == package.sha256


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        b"",
        b"[]",
        b"name: x",
        b"name: 7\nversion: 1.0\nentry: a.py\n",
        b"name: x\nversion: latest\nentry: a.py\n",
        b"name: ../x\nversion: 1.0\nentry: a.py\n",
        b"name: x\nversion: 1.0.0\nentry: /etc/passwd\n",
        b"name: cpu\nversion: 1.0.0\nentry: a.py\n",
        b"!!python/object/apply:os.system [id]",
        b"{" * 5_000,
        b"\xff\xfe",
        pytest.param(MANIFEST + b"#" * 17_000, id="long"),
        b"m: &m {name: x}\n<<: [*m, *m]\nversion: 1.0.0\nentry: a.py\n",
        b"name: x\nversion: 1.0.0\nentry: a.py\ndescription: 2024-13-45\n",
        b"name: x\nversion: 1.0.0\nentry: a.py\ndescription: !!int ''\n",
        b"name: x\nversion: 1.0.0\nentry: a.py\ndescription: !!bool x\n",
        b"name: x\nversion: 1.0.0\nentry: a.py\ndescription: !!timestamp x\n",
    ],
)
def test_manifest_that_cannot_be_used_is_refused(tenant, archive, manifest):
    with pytest.raises(Invalid) as refused:
        upload(archive(manifest))
    assert list(refused.value.fields) == ["file"]
    assert not PluginPackage.objects.exists()


@pytest.mark.parametrize(
    "data", [b"", b"no archive", gzip.compress(b"no tar", mtime=0), b"\x1f\x8b\x08"]
)
def test_file_that_is_no_archive_is_refused(tenant, data):
    with pytest.raises(Invalid):
        upload(data)


def test_cut_archive_is_refused(tenant, archive):
    data = archive(None, **{"a.bin": b"x" * 100_000})
    with pytest.raises(Invalid):
        upload(data[: len(data) // 2])


def test_archive_that_unpacks_without_end_is_refused(tenant, archive, monkeypatch):
    monkeypatch.setattr(package_archive, "MAX_UNPACKED_BYTES", 100_000)
    with pytest.raises(TooLarge):
        upload(archive(None, **{"a.bin": b"\0" * 1_000_000}))


def test_archive_of_too_many_files_is_refused(tenant, archive, monkeypatch):
    monkeypatch.setattr(package_archive, "MAX_FILES", 2)
    with pytest.raises(TooLarge):
        upload(archive(None, **{f"f{n}": b"" for n in range(9)}))


def test_manifest_that_is_a_link_is_refused(tenant):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("manifest.yaml")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(Invalid):
        upload(buffer.getvalue())


def test_headers_of_pax_are_refused_unread(tenant, monkeypatch):
    # tarfile matches them by a pattern that held all threads for 12 s at 120,000 digits.
    monkeypatch.setattr("tarfile.TarInfo._proc_pax", lambda *_: pytest.fail("they were read"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("manifest.yaml")
        entry.pax_headers = {"comment": "1" * 120_000}
        entry.size = len(MANIFEST)
        tar.addfile(entry, io.BytesIO(MANIFEST))
    with pytest.raises(Invalid):
        upload(buffer.getvalue())


@pytest.mark.parametrize("reason", ["signature", "known", "quota"])
def test_contents_are_not_looked_at_when_the_package_cannot_be_kept(
    tenant, archive, monkeypatch, reason
):
    upload(archive())
    if reason == "quota":
        monkeypatch.setattr(packages, "MAX_PACKAGES_PER_TENANT", 1)
    monkeypatch.setattr(packages, "read_manifest", lambda _data: pytest.fail("it was read"))
    data = archive() if reason == "known" else archive(**{"other.py": b""})
    with pytest.raises((Invalid, Conflict)):
        upload(data, "c2hvcnQ=" if reason == "signature" else SIGNATURE)


def test_archive_with_a_header_that_is_no_number_is_refused(tenant):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("manifest.yaml")
        entry.pax_headers = {"GNU.sparse.map": "x"}
        tar.addfile(entry)
    with pytest.raises(Invalid):
        upload(buffer.getvalue())


def test_too_large_a_package_is_refused(tenant, monkeypatch):
    monkeypatch.setattr(packages, "MAX_PACKAGE_BYTES", 10)
    with pytest.raises(TooLarge):
        upload(b"x" * 11)


@pytest.mark.parametrize("signature", ["", "no base64!", "c2hvcnQ=", "ü"])
def test_signature_of_another_shape_is_refused(tenant, archive, signature):
    with pytest.raises(Invalid) as refused:
        upload(archive(), signature)
    assert list(refused.value.fields) == ["signature"]


def test_version_is_one_content_for_ever(tenant, archive):
    upload(archive())
    with pytest.raises(Conflict):
        upload(archive(**{"main.py": b"another"}))
    assert PluginPackage.objects.count() == 1


def test_two_tenants_share_a_file_until_the_last_deletes_it(
    tenant, other_tenant, archive, django_capture_on_commit_callbacks
):
    mine, theirs = upload(archive()), upload(archive(), tenant_id="other")
    with django_capture_on_commit_callbacks(execute=True):
        delete_package(mine, by="test")
    assert read(theirs)
    with django_capture_on_commit_callbacks(execute=True):
        delete_package(theirs, by="test")
    with pytest.raises(NotFound):
        read(theirs)


def test_package_that_a_host_is_to_run_is_not_deleted(agent, archive):
    package = upload(archive())
    set_plugin(agent, "gpu_temperature", by="t", change=Change(package_id=package.pk))
    with pytest.raises(Conflict):
        delete_package(package, by="test")


def test_refused_package_leaves_nothing_on_the_disk(tenant, archive, folder, monkeypatch):
    kept = upload(archive())
    with pytest.raises(Conflict):
        upload(archive(**{"main.py": b"another"}))
    monkeypatch.setattr(packages, "MAX_PACKAGES_PER_TENANT", 1)
    with pytest.raises(Invalid):
        upload(archive(b"name: other\nversion: 1.0.0\nentry: main.py\n"))
    assert [path.name for path in folder.iterdir()] == [f"{kept.sha256}.tar.gz"]


def test_upload_that_loses_a_race_leaves_nothing_on_the_disk(tenant, archive, folder, monkeypatch):
    checks = iter([None, Conflict("Somebody was first.")])

    def check(*_arguments: object) -> None:
        if error := next(checks):
            raise error

    monkeypatch.setattr(packages, "_check_is_new", check)
    with pytest.raises(Conflict):
        upload(archive())
    assert list(folder.iterdir()) == []


def test_full_disk_refuses_a_package_and_keeps_nothing(tenant, archive, folder, monkeypatch):
    monkeypatch.setattr("dialer_platform.storage.free_space.MIN_FREE_BYTES", 2**62)
    with pytest.raises(DiskFull):
        upload(archive())
    assert not PluginPackage.objects.exists()
    assert not folder.exists()


def test_name_of_a_package_is_flushed_to_the_disk(tenant, archive, folder, monkeypatch):
    flushed = []
    monkeypatch.setattr(
        os, "fsync", lambda number: flushed.append(Path(f"/proc/self/fd/{number}").readlink())
    )
    upload(archive())
    assert flushed[-1] == folder


def test_old_files_without_a_row_are_swept_away(tenant, archive, folder, monkeypatch):
    kept = upload(archive())
    old, young = "a" * 64, "b" * 64
    names = [f"{old}.tar.gz", f"{old}.tar.gz.7.draft", f"{young}.tar.gz", f"{young}.x.draft"]
    for name in names:
        (folder / name).write_bytes(b"x")
    long_ago = time.time() - package_files.STRAY_SECONDS - 60
    for name in (*names[:2], f"{kept.sha256}.tar.gz"):
        os.utime(folder / name, (long_ago, long_ago))
    assert package_files.sweep() == 2
    assert {path.name for path in folder.iterdir()} == {*names[2:], f"{kept.sha256}.tar.gz"}


def test_sweep_is_bounded(tenant, folder, monkeypatch):
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.draft").touch()
        os.utime(folder / f"{number}.draft", (1, 1))
    monkeypatch.setattr(package_files, "SWEPT_AT_ONCE", 2)
    assert [package_files.sweep() for _turn in range(3)] == [2, 1, 0]
