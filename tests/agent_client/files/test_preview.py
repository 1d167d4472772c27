"""What is shown of files and directories, and in which encoding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent_client.errors import Rejected
from agent_client.files.places import places_of
from agent_client.files.preview import MAX_EXCERPT_BYTES, guess_encoding, preview
from agent_client.files.roots import Roots
from agent_client.protocol.transfers import Transfer


def shown(root: Path, name: str = "", **fields: object) -> dict[str, object]:
    path = str(root / name) if name else str(root)
    transfer = Transfer(id="0123456789abcdef", token="t", path=path, **fields)
    return json.loads(preview(Roots(places_of([root])), transfer))


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", "utf-8"),
        (b"plain", "utf-8"),
        ("你好".encode(), "utf-8"),
        ("你好".encode()[:-1], "utf-8"),
        ("你好".encode("gb18030"), "gb18030"),
        (b"\xef\xbb\xbfx", "utf-8-sig"),
        ("x".encode("utf-16"), "utf-16"),
        (b"caf\xe9 \xff", "latin-1"),
        (b"\x7fELF\0\0", ""),
    ],
)
def test_encoding_is_guessed(data: bytes, encoding: str) -> None:
    assert guess_encoding(data) == encoding


def test_head_and_tail_do_not_overlap(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    found = shown(tmp_path, "f", head_bytes=8, tail_bytes=8)
    assert (found["head"], found["tail"]) == ("01234567", "89")
    found = shown(tmp_path, "f", head_bytes=2, tail_bytes=3)
    assert (found["head"], found["tail"], found["size_bytes"]) == ("01", "789", 10)


@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("head_bytes", [0, 8, 9])
def test_tail_is_read_in_the_byte_order_of_the_file(
    tmp_path: Path, order: str, head_bytes: int
) -> None:
    (tmp_path / "f").write_bytes(("\ufeff" + "您好" * 100).encode(f"utf-16-{order}"))
    for tail_bytes in (8, 7):  # an odd number would begin within a character
        found = shown(tmp_path, "f", head_bytes=head_bytes, tail_bytes=tail_bytes)
        assert found["encoding"] == "utf-16"
        assert found["tail"] == "您好您好"[-(tail_bytes // 2) :]


def test_excerpts_are_bounded_whatever_is_asked(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 4 * MAX_EXCERPT_BYTES)
    found = shown(tmp_path, "f", head_bytes=2**40, tail_bytes=2**40)
    assert (found["head_bytes"], found["tail_bytes"]) == (MAX_EXCERPT_BYTES, MAX_EXCERPT_BYTES)


def test_binary_file_shows_no_text(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\0\1\2")
    found = shown(tmp_path, "f")
    assert (found["is_binary"], found["head"], found["head_bytes"]) == (True, "", 3)


def test_directory_lists_its_entries_directories_first(tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "b").write_text("x")
    (tmp_path / "a").symlink_to("/etc")
    found = shown(tmp_path)
    assert [(one["name"], one["type"]) for one in found["entries"]] == [
        ("z", "directory"),
        ("a", "link"),
        ("b", "file"),
    ]
    assert found["truncated"] is False


def test_name_that_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "bad\udcff").write_text("x")
    assert shown(tmp_path)["entries"][0]["name"] == "bad\ufffd"


def test_large_directory_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_client.files.preview.MAX_ENTRIES", 3)
    for number in range(5):
        (tmp_path / str(number)).touch()
    found = shown(tmp_path)
    assert (len(found["entries"]), found["truncated"]) == (3, True)


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="does not exist"):
        shown(tmp_path, "missing")
