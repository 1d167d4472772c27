"""The reader of packages: what `plugin-pack` writes is read, all else is refused unread."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib

import pytest

from agent_client.protocol import package_archive
from agent_client.protocol.package_archive import BadPackage, Content, TooMuch, read_archive
from tests.agent_client.plugins.packages import archive, special


def headers(*blocks: bytes) -> bytes:
    """Return an archive of hand-made blocks."""
    return gzip.compress(b"".join(blocks) + bytes(1024), mtime=0)


def extension(kind: bytes, data: bytes) -> bytes:
    """Return a header about the next header, with its data."""
    info = special("ahead", kind)
    info.size = len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


FILE = tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT)


def test_files_are_read_with_long_names_and_the_executable_bit():
    tool = tarfile.TarInfo("d/" * 6 + "t" * 95)
    tool.mode = 0o755
    found = read_archive(
        headers(
            special("d", tarfile.DIRTYPE).tobuf(tarfile.USTAR_FORMAT),
            tool.tobuf(tarfile.USTAR_FORMAT),
        )
    )
    assert found == {tool.name: Content(b"", True)}


def test_only_what_is_asked_for_is_returned_and_the_rest_is_checked():
    data = archive(("a", b"x" * 100_000), ("b", b"y" * 513), ("c", b"z"))
    assert read_archive(data, only=("b",)) == {"b": Content(b"y" * 513, False)}
    with pytest.raises(BadPackage):
        read_archive(archive(("b", b"y"), ("../c", b"z")), only=("b",))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, b"X", b"L", b"K", b"S", b"V"])
def test_header_about_the_next_header_is_refused(kind):
    # Valid for tarfile, which matches it by a pattern that costs seconds for many digits.
    data = headers(extension(kind, b"11 path=ab\n"), FILE)
    with pytest.raises(BadPackage, match="no plain file"):
        read_archive(data)


def test_header_with_a_number_of_gnu_is_refused():
    large = tarfile.TarInfo("a")
    large.size = 8**12
    with pytest.raises(BadPackage, match="damaged"):
        read_archive(headers(large.tobuf(tarfile.GNU_FORMAT)))


def test_directory_with_content_is_refused():
    place = special("d", tarfile.DIRTYPE)
    place.size = 512
    with pytest.raises(BadPackage, match="with content"):
        read_archive(headers(place.tobuf(tarfile.USTAR_FORMAT), bytes(512)))


@pytest.mark.parametrize("more", [b"x", gzip.compress(b"", mtime=0), bytes(70_000)])
def test_bytes_behind_the_end_are_refused(more):
    with pytest.raises(BadPackage, match="after its end"):
        read_archive(headers(FILE) + more)


def test_wrong_checksum_is_refused():
    data = bytearray(headers(FILE))
    data[-8] ^= 1
    with pytest.raises(BadPackage, match="damaged"):
        read_archive(bytes(data))


@pytest.mark.parametrize(
    "data", [b"", b"\x1f\x8b\x08", gzip.compress(b"", mtime=0), gzip.compress(b"x", mtime=0)]
)
def test_what_is_no_archive_is_refused(data):
    with pytest.raises(BadPackage):
        read_archive(data)


def test_more_than_a_package_may_hold_is_refused_by_its_headers(monkeypatch):
    monkeypatch.setattr(package_archive, "MAX_UNPACKED_BYTES", 1_000)
    with pytest.raises(TooMuch, match="unpacks to"):
        read_archive(archive(("a", b"x" * 600), ("b", b"x" * 600)))
    monkeypatch.setattr(package_archive, "MAX_FILES", 2)
    for kind in (tarfile.DIRTYPE, tarfile.REGTYPE):
        with pytest.raises(TooMuch, match="files"):
            read_archive(archive(*(special(f"f{n}", kind) for n in range(3))))


def test_zeros_behind_the_end_are_not_unpacked_without_limit():
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as packed:
        packed.write(FILE)
        for _ in range(70):
            packed.write(bytes(1024**2))
    with pytest.raises(TooMuch):
        read_archive(out.getvalue())


def test_output_that_waits_inside_the_unpacker_is_not_taken_for_a_cut():
    # Stored blocks: what goes in comes out, so pieces and limits fall onto each other.
    packer = zlib.compressobj(0, wbits=16 + zlib.MAX_WBITS)
    info = tarfile.TarInfo("a")
    info.size = 300_000
    plain = info.tobuf(tarfile.USTAR_FORMAT) + bytes(range(256)) * 1_172 + bytes(1024)
    plain += bytes(-len(plain) % 512)
    found = read_archive(packer.compress(plain) + packer.flush())
    assert len(found["a"].data) == 300_000
