"""Archives: what is packed comes out again, and what is hostile is refused as a whole."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from agent_client.errors import Rejected
from agent_client.files import archive_names, replacing
from agent_client.files.packing import pack
from agent_client.files.receiving import Target
from agent_client.files.unpacking import Owner, unpack_into
from tests.agent_client.files.conftest import Move
from tests.agent_client.files.swapping import while_links_swap
from tests.faults.trials import trials


def tar_of(*entries: tuple[str, bytes | str, dict[str, object]], gz: bool = False) -> bytes:
    """Return an archive; an entry is (name, content or type of tarfile, further fields)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, fields in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            else:
                info.type = content.encode("latin-1")
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return gzip.compress(data.getvalue()) if gz else data.getvalue()


def zip_of(*entries: tuple[str, bytes, int]) -> bytes:
    """Return a zip; an entry is (name, content, mode)."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def zip64_of(entries: int, *, comment: bytes = b"") -> bytes:
    """Return a zip whose plain end record hides that zip64's fields name many entries."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number in range(entries):
            archive.writestr(f"f{number}", b"")
    plain = data.getvalue()
    end = plain.rindex(b"PK\x05\x06")
    size, offset = struct.unpack("<II", plain[end + 12 : end + 20])
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, offset
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    small = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, 46, 0, len(comment))
    return plain[:end] + record + locator + small + comment


def give(move: Move, archive: bytes) -> None:
    move.fake.content[:] = archive


LINK, HARD, DEVICE, FIFO, BLOCK, SPARSE = "2", "1", "3", "6", "4", "S"
HOSTILE = {
    "parent": tar_of(("../out", b"x", {})),
    "parent within": tar_of(("a/../../out", b"x", {})),
    "absolute": tar_of(("/tmp/out", b"x", {})),
    "link": tar_of(("link", LINK, {"linkname": "/tmp"})),
    "write through link": tar_of(("d", LINK, {"linkname": ".."}), ("d/out", b"x", {})),
    "hard link": tar_of(("hard", HARD, {"linkname": "/etc/passwd"})),
    "device": tar_of(("null", DEVICE, {"devmajor": 1, "devminor": 3})),
    "block device": tar_of(("disk", BLOCK, {})),
    "fifo": tar_of(("pipe", FIFO, {})),
    "sparse": tar_of(("sparse", SPARSE, {})),
    "unheard of": tar_of(("odd", "Z", {})),
    "twice": tar_of(("a", b"1", {}), ("a", b"2", {})),
    "twice by dots": tar_of(("a/b", b"1", {}), ("a/./b", b"2", {})),
    "file and directory": tar_of(("a", b"1", {}), ("a/b", b"2", {})),
    "directory and file": tar_of(("a/b", b"1", {}), ("a", b"2", {})),
    "control characters": tar_of(("a\x1b[2J", b"x", {})),
    "newline": tar_of(("a\nb", b"x", {})),
    "backslash": tar_of(("..\\out", b"x", {})),
    "long name": tar_of(("n" * 256, b"x", {})),
    "deep": tar_of(("d/" * 65 + "f", b"x", {})),
    "long path": tar_of(("/".join(["d" * 200] * 30), b"x", {})),
    "pax path": tar_of(("ok", b"x", {"pax_headers": {"path": "../out"}})),
    "gzip bomb": gzip.compress(tar_of(("zeros", bytes(90 * 1024 * 1024), {}))),
    "cut tar": tar_of(("a", b"x" * 5_000, {}))[:2_000],
    "cut gzip": tar_of(("a", random.Random(1).randbytes(5_000), {}), gz=True)[:3_000],
    "cut zip": zip_of(("a", b"x" * 5_000, 0o100644))[:-30],
    "no archive": b"hello" * 1_000,
    "zip parent": zip_of(("../out", b"x", 0o100644)),
    "zip absolute": zip_of(("/tmp/out", b"x", 0o100644)),
    "zip link": zip_of(("link", b"/tmp", stat.S_IFLNK | 0o777)),
    "zip device": zip_of(("dev", b"", stat.S_IFCHR | 0o644)),
    "zip bomb": zip_of(("zeros", bytes(90 * 1024 * 1024), 0o100644)),
    "zip twice": zip_of(("a", b"1", 0o100644), ("./a", b"2", 0o100644)),
    "zip64": zip64_of(3),
    "zip64 with a comment": zip64_of(3, comment=b"c" * 65_535),
    "zip too large": zip_of(("a", b"x" * 500, 0o100644)).replace(
        (500).to_bytes(4, "little"), (400).to_bytes(4, "little")
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archive_is_refused_as_a_whole(move: Move, tmp_path: Path, name: str) -> None:
    give(move, HOSTILE[name])
    before = sorted(str(one) for one in tmp_path.rglob("*"))
    with pytest.raises(Rejected) as error:
        move.unpack()
    assert error.value.code == "archive_refused"
    after = sorted(str(one) for one in tmp_path.rglob("*") if not one.name.endswith(".part"))
    assert after == before


def hostile_tar(chance: random.Random, outside: Path) -> bytes:
    """Return an archive whose entries are hostile in some way at random."""
    pieces = ("..", ".", "", "a", "b", "link", "x" * 260, "\x07", "\\", "f\u202etxt", "root")
    kinds = (b"data", b"data", b"", "5", LINK, HARD, FIFO)
    entries = []
    for _ in range(chance.choice((1, 1, 2, 5))):
        name = "/".join(chance.choice(pieces) for _ in range(chance.randint(1, 4)))
        begin = chance.choice(("", "", "", "", "/", f"{outside}/", "../outside/"))
        linkname = chance.choice(("..", str(outside), "/", "a"))
        entries.append((begin + name, chance.choice(kinds), {"linkname": linkname}))
    return tar_of(*entries, gz=chance.random() < 0.3)


def test_generated_archives_write_nothing_outside(tmp_path: Path) -> None:
    generated = trials("SEC16 hostile archives", short=500, long=10_000)
    seed = random.randrange(10**6)
    print(f"seed {seed}, {generated} archives")
    chance = random.Random(seed)
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    directory = os.open(root, os.O_RDONLY)
    target = Target(directory, "tree", str(root / "tree"))
    unpacked = 0
    for number in range(generated):
        (root / str(number)).mkdir()
        with tempfile.TemporaryFile() as file:
            file.write(hostile_tar(chance, outside))
            file.flush()
            try:
                unpack_into(file.fileno(), str(number), target, owner=Owner())
                unpacked += 1
            except (Rejected, OSError):
                continue
    os.close(directory)
    assert not [one for one in root.rglob("*") if one.is_symlink() or one.is_fifo()]
    assert list(outside.iterdir()) == []
    assert {one.name for one in tmp_path.iterdir()} == {"root", "outside"}
    # Some had nothing hostile in them: the unpacking itself was really at work.
    assert 0 < unpacked < generated


def test_archives_write_nothing_outside_while_links_are_swapped(tmp_path: Path) -> None:
    generated = trials("SEC16 archives while links are swapped", short=100, long=10_000)
    seed = random.randrange(10**6)
    print(f"seed {seed}, {generated} archives")
    chance = random.Random(seed)
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    directory = os.open(root, os.O_RDONLY)
    target = Target(directory, "tree", str(root / "tree"))
    # Into the directory that is swapped, so that the race is there in every one of them.
    good = tar_of(*((f"a/{number % 3}/{number}", b"data", {}) for number in range(20)))
    ends: Counter[str] = Counter()

    def unpack_all() -> None:
        for _ in range(generated):
            (root / "work").mkdir()
            with tempfile.TemporaryFile() as file:
                file.write(good if chance.random() < 0.7 else hostile_tar(chance, outside))
                file.flush()
                try:
                    unpack_into(file.fileno(), "work", target, owner=Owner())
                    ends["unpacked"] += 1
                except (Rejected, OSError) as error:
                    ends[type(error).__name__] += 1
            while (root / "work").exists():  # the other thread may put something back
                shutil.rmtree(root / "work", ignore_errors=True)

    swaps = while_links_swap(root / "work" / "a", outside, unpack_all)
    os.close(directory)
    print(f"{swaps} swaps, {dict(ends)}")
    assert list(outside.iterdir()) == []
    assert {one.name for one in tmp_path.iterdir()} == {"root", "outside"}
    assert swaps > 0
    assert ends["unpacked"] > 0


@pytest.mark.parametrize("make", ["tar", "gz", "zip"])
def test_good_archive_is_unpacked(move: Move, make: str) -> None:
    if make == "zip":
        files = (("d/run.sh", b"#!/bin/sh", 0o100755), ("d/文件", b"x", 0o100600))
        give(move, zip_of(("d/", b"", 0o040755), *files))
    else:
        entries = (("d", "5", {}), ("d/run.sh", b"#!/bin/sh", {"mode": 0o6755}))
        give(move, tar_of(*entries, ("./d/文件", b"x", {"mode": 0o600}), gz=make == "gz"))
    move.unpack()
    tree = move.directory / "tree"
    assert (tree / "d" / "run.sh").read_bytes() == b"#!/bin/sh"
    assert (tree / "d" / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (tree / "d" / "文件").stat().st_mode & 0o7777 == 0o644
    assert move.names() == ["tree"]


def test_long_names_of_gnu_and_pax_are_understood(move: Move) -> None:
    name = "/".join(["d" * 90] * 4) + "/file"
    for number, form in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=form) as archive:
            info = tarfile.TarInfo(name if form != tarfile.USTAR_FORMAT else "short/file")
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
        give(move, data.getvalue())
        move.unpack(f"tree{number}")
        assert (move.directory / f"tree{number}" / info.name).read_bytes() == b"abc"


def test_directory_is_replaced_only_when_asked(move: Move) -> None:
    tree = move.directory / "tree"
    tree.mkdir()
    (tree / "old").touch()
    give(move, tar_of(("new", b"x", {})))
    with pytest.raises(Rejected) as error:
        move.unpack()
    assert (error.value.code, [one.name for one in tree.iterdir()]) == ("file_exists", ["old"])
    move.unpack(overwrite=True)
    assert [one.name for one in tree.iterdir()] == ["new"]
    assert move.names() == ["tree"]


class Killed(BaseException):
    """The process ends here."""


def kill_at_rename(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """End the process right before something is renamed to that name."""
    rename = os.rename

    def die(old: str, new: str, **handles: int) -> None:
        if new == name:
            raise Killed
        rename(old, new, **handles)

    monkeypatch.setattr(os, "rename", die)


def test_directory_is_replaced_in_one_step(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = move.directory / "tree"
    tree.mkdir()
    (tree / "old").touch()
    give(move, tar_of(("new", b"x", {})))
    kill_at_rename(monkeypatch, "tree")
    move.unpack(overwrite=True)
    assert [one.name for one in tree.iterdir()] == ["new"]
    assert move.names() == ["tree"]


def test_directory_that_was_set_aside_is_kept_and_put_back(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacing, "_exchange", lambda work, target: False)
    tree = move.directory / "tree"
    tree.mkdir()
    (tree / "old").touch()
    os.utime(tree, (0, 0))
    give(move, tar_of(("new", b"x", {})))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at_rename(patch, "tree")
        move.unpack(overwrite=True)
    assert not tree.exists()
    move.unpack("other")
    with pytest.raises(Rejected):
        move.unpack()
    assert [one.name for one in tree.iterdir()] == ["old"]
    move.unpack(overwrite=True)
    assert [one.name for one in tree.iterdir()] == ["new"]
    assert [name for name in move.names() if not name.endswith(".part")] == ["other", "tree"]


def test_too_many_entries_are_refused(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_names, "MAX_ENTRIES", 10)
    give(move, tar_of(*((f"f{number}", b"", {}) for number in range(11))))
    with pytest.raises(Rejected, match="more than 10 entries"):
        move.unpack()


def test_names_that_would_fill_the_memory_are_refused(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_names, "MAX_NAMES_BYTES", 100)
    # A directory counts once, and an entry that repeats it not at all.
    give(move, tar_of(("d" * 40, "5", {}), ("d" * 40 + "/f", b"", {}), ("d" * 40, "5", {})))
    move.unpack("small")
    give(move, tar_of(("d" * 40 + "/f", b"", {}), ("e" * 40, b"", {})))
    with pytest.raises(Rejected, match="names have more than 100 bytes"):
        move.unpack()


def test_packed_directory_comes_out_the_same(move: Move, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub" / "empty").mkdir(parents=True)
    (source / "sub" / "run").write_bytes(b"x" * 70_000)
    (source / "sub" / "run").chmod(0o755)
    (source / "名").write_text("y")
    (source / "link").symlink_to("/etc")
    os.mkfifo(source / "pipe")
    (source / "state").mkdir()
    (source / "state" / "identity.json").write_text("secret")
    (source / "policy.yaml").write_text("work: []")
    hidden = {(source / name).stat().st_ino for name in ("state", "policy.yaml")}
    said: list[str] = []
    handle = os.open(source, os.O_RDONLY)
    packed = pack(
        handle,
        str(source),
        is_hidden=lambda found: found.st_ino in hidden,
        say=said.append,
        place=str(tmp_path),
    )
    give(move, os.pread(packed, 10**6, 0))
    os.close(packed)
    os.close(handle)
    move.unpack()
    tree = move.directory / "tree"
    found = sorted(str(one.relative_to(tree)) for one in tree.rglob("*"))
    assert found == ["sub", "sub/empty", "sub/run", "名"]
    assert (tree / "sub" / "run").read_bytes() == b"x" * 70_000
    assert len(said) == 4
