"""Packages: made the same every time, and read without trusting anything in them."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import time

import pytest

from agent_client.__main__ import main
from agent_client.errors import Rejected
from agent_client.plugins import signing
from agent_client.plugins.pack import pack, parse_manifest
from agent_client.plugins.unpack import is_unchanged, read_package, write_files
from agent_client.protocol import plugin_package
from agent_client.protocol.plugin_package import version_key
from agent_client.protocol.plugins import PluginPackage
from tests.agent_client.plugins.packages import Author, archive, special


@pytest.fixture
def author(tmp_path) -> Author:
    return Author(tmp_path / "author")


# --- making ----------------------------------------------------------------------------


def test_same_files_give_the_same_bytes(author):
    source = author.source("1.0")
    first = pack(source).data
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "x.pyc").write_text("cache")
    (source / ".git").write_text("hidden")
    os.utime(source / "main.py", (1, time.time() - 5000))
    (source / "main.py").chmod(0o600)
    assert pack(source).data == first


def test_package_can_be_read_again(author, tmp_path):
    files = read_package(pack(author.source("1.0")).data)
    assert set(files) == {"main.py", "manifest.yaml", "sdk.py"}
    write_files(files, tmp_path / "out")
    assert is_unchanged(files, tmp_path / "out")


def test_link_is_refused_when_packing(author):
    source = author.source("1.0")
    (source / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(Rejected, match="is a link"):
        pack(source)


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "name: Demo\nversion: '1'\nentry: main.py",
        "name: demo\nversion: 1.0-beta\nentry: main.py",
        "name: demo\nversion: '1'\nentry: ../main.py",
        "name: demo\nversion: '1'\nentry: missing.py",
        "name: demo\nversion: '1'\nentry: /bin/sh",
        "!!python/object/apply:os.system ['true']",
        "m: &m {name: demo}\n<<: [*m, *m]\nversion: '1'\nentry: main.py",
        "name: demo\nversion: '1'\nentry: main.py\ndescription: !!int ''",
        pytest.param("[" * 5000, id="deep"),
        pytest.param("name: demo\nversion: '1'\nentry: main.py\n" + "#" * 17_000, id="long"),
    ],
)
def test_unusable_manifest_is_refused(author, manifest):
    source = author.source("1.0")
    (source / "manifest.yaml").write_text(manifest)
    with pytest.raises(Rejected, match=r"manifest\.yaml"):
        pack(source)


def test_commands_make_a_package_that_its_key_has_signed(author, tmp_path, capsys):
    key = tmp_path / "new.pem"
    assert main(["plugin-key", str(key)]) == 0
    public = capsys.readouterr().out.strip()
    assert key.stat().st_mode & 0o077 == 0
    source = str(author.source("1.0"))
    assert main(["plugin-pack", source, "--key", str(key), "--out", str(tmp_path)]) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    data = (tmp_path / "demo-1.0.tar.gz").read_bytes()
    package = PluginPackage(
        version=facts["version"],
        sha256=facts["sha256"],
        signature=(tmp_path / "demo-1.0.tar.gz.sig").read_text().strip(),
        size_bytes=len(data),
    )
    signing.check_signature("demo", package, [public])


def test_key_is_never_replaced(author, capsys):
    before = author.key_file.read_bytes()
    assert main(["plugin-key", str(author.key_file)]) == 2
    assert author.key_file.read_bytes() == before


def test_pack_says_what_is_wrong(author, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = ["plugin-pack", str(tmp_path / "empty"), "--key", str(author.key_file)]
    assert main(arguments) == 2
    assert "no manifest.yaml" in capsys.readouterr().err


# --- signatures ------------------------------------------------------------------------


def test_signature_is_about_name_version_and_digest(author):
    package = author.signed("1.0", b"data")
    signing.check_signature("demo", package, ["nonsense", author.public])
    for name, changed in (
        ("other", package),
        ("demo", PluginPackage("1.1", package.sha256, package.signature, 4)),
        ("demo", PluginPackage("1.0", "0" * 64, package.signature, 4)),
        ("demo", PluginPackage("1.0", package.sha256, "", 4)),
        ("demo", PluginPackage("1.0", package.sha256, "A" * 88, 4)),
    ):
        with pytest.raises(Rejected):
            signing.check_signature(name, changed, [author.public])


def test_signature_of_another_key_is_refused(author, tmp_path):
    stranger = Author(tmp_path / "stranger")
    with pytest.raises(Rejected, match="not signed by a key"):
        signing.check_signature("demo", stranger.signed("1.0", b""), [author.public])


def test_versions_are_compared_as_numbers():
    assert version_key("1.10") > version_key("1.9")
    assert version_key("2") == version_key("2.0.0")
    for wrong in ("", "1.", "v1", "1_0", "\u0661", "1.2.3.4.5", "+1", " 1", "../1"):
        with pytest.raises(ValueError, match="is no version"):
            version_key(wrong)


# --- reading ---------------------------------------------------------------------------

HOSTILE = {
    "parent": [("../escape", b"x")],
    "parent inside": [("a/../../escape", b"x")],
    "absolute": [("/tmp/escape", b"x")],
    "empty component": [("a//b", b"x")],
    "here": [("./a", b"x")],
    "hidden": [(".bashrc", b"x")],
    "backslash": [("a\\..\\b", b"x")],
    "control": [("a\nb", b"x")],
    "deep": [("/".join("abcdefghijklm"), b"x")],
    "long": [("x" * 150, b"x")],
    "symbolic link": [special("link", tarfile.SYMTYPE, "/etc")],
    "link and file below": [special("link", tarfile.SYMTYPE, "/tmp"), ("link/x", b"x")],
    "hard link": [special("link", tarfile.LNKTYPE, "/etc/passwd")],
    "device": [special("null", tarfile.CHRTYPE)],
    "pipe": [special("pipe", tarfile.FIFOTYPE)],
    "twice": [("a", b"x"), ("a", b"y")],
    "file and directory": [("a", b"x"), ("a/b", b"y")],
    "directory and file": [("a/b", b"x"), ("a", b"y")],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_entry_refuses_the_whole_package(kind):
    with pytest.raises(Rejected) as refusal:
        read_package(archive(("good.py", b"x"), *HOSTILE[kind]))
    assert refusal.value.code == "package_refused"


def test_too_many_files_are_refused(monkeypatch):
    many = [(f"f{n}", b"") for n in range(plugin_package.MAX_FILES + 1)]
    with pytest.raises(Rejected, match="more than"):
        read_package(archive(*many))


def test_bomb_is_refused_before_it_is_unpacked():
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as out:
        info = tarfile.TarInfo("zeros")
        info.size = 2 * 1024**3
        out.write(info.tobuf())
        for _ in range(100):
            out.write(bytes(1024 * 1024))
    began = time.monotonic()
    with pytest.raises(Rejected, match="unpacks to"):
        read_package(bomb.getvalue())
    assert time.monotonic() - began < 5


def test_bomb_in_a_header_is_refused():
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as out:
        info = tarfile.TarInfo("pax")
        info.type, info.size = tarfile.XHDTYPE, 1024**3
        out.write(info.tobuf())
        for _ in range(100):
            out.write(bytes(1024 * 1024))
    with pytest.raises(Rejected):
        read_package(bomb.getvalue())


def test_any_damage_is_refused_and_nothing_else_is_raised(author):
    rng = random.Random(3)
    good = pack(author.source("1.0")).data
    refused = 0
    for _ in range(300):
        data = bytearray(good)
        if rng.random() < 0.5:
            del data[rng.randrange(len(data)) :]
        else:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            read_package(bytes(data))
        except Rejected:
            refused += 1
    assert refused > 280


@pytest.mark.parametrize("change", ["edit", "add", "remove", "mode", "link"])
def test_change_of_the_files_is_seen(author, tmp_path, change):
    files = read_package(pack(author.source("1.0")).data)
    place = tmp_path / "out"
    write_files(files, place)
    entry = place / "main.py"
    if change == "edit":
        entry.write_bytes(b"#" + entry.read_bytes()[1:])
    elif change == "add":
        (place / "json.py").write_text("# comes before the library's")
    elif change == "remove":
        entry.unlink()
    elif change == "mode":
        entry.chmod(0o700)
    else:
        entry.rename(tmp_path / "same")
        entry.symlink_to(tmp_path / "same")
    assert not is_unchanged(files, place)


def test_manifest_is_data_and_nothing_else():
    assert parse_manifest(b"name: a\nversion: '1'\nentry: m.py\nlater: ignored\n").name == "a"
