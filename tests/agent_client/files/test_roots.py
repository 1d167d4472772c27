"""No name and no swapped link leads out of the allowed directories."""

from __future__ import annotations

import contextlib
import os
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_client.errors import Rejected
from agent_client.files.packing import pack
from agent_client.files.places import places_of
from agent_client.files.receiving import Target, open_part
from agent_client.files.roots import Roots, open_plain
from agent_client.protocol.transfers import Transfer
from tests.agent_client.files.swapping import while_links_swap
from tests.faults.trials import trials

PIECES = (
    *("..", ".", "", "~", "a", "b", "link", "out", "file", "secret", "etc", "passwd", "state"),
    *("../..", "....//", "a/../..", "%2e%2e", "..\\", "\0", "\n", "\u2024\u2024", "\udcff"),
    *("//", "/", "a" * 300, "identity.json", ".ssh", "..;", "proc/self/root", "link/../.."),
)
CANARY = b"outside"


class Place:
    """An allowed directory with links that lead out, and a canary outside."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.outside = directory / "outside"
        self.state = self.root / "state"
        for one in (self.root / "a" / "b", self.outside, self.state):
            one.mkdir(parents=True)
        for one in ("secret", "passwd", "file", "a"):
            (self.outside / one).write_bytes(CANARY)
        (self.state / "identity.json").write_bytes(CANARY)
        (self.root / "file").write_bytes(b"inside")
        (self.root / "a" / "file").write_bytes(b"inside")
        (self.root / "link").symlink_to(self.outside)
        (self.root / "out").symlink_to("/")
        (self.root / "a" / "secret").symlink_to(self.outside / "secret")
        self.roots = Roots(places_of([self.root]), hidden=[str(self.state)])

    def read(self, path: str) -> bytes | None:
        """Return what is read of a path, None when it is refused."""
        try:
            with self.roots.parent(path) as (directory, name):
                descriptor = open_plain(directory, name, path)
        except (Rejected, OSError):
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def write(self, path: str) -> None:
        """Write something below a path's directories, which are made when they are missing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
        with (
            contextlib.suppress(Rejected, OSError),
            self.roots.parent(path, create=True) as (directory, name),
        ):
            os.close(os.open(name, flags, 0o600, dir_fd=directory))

    def tree_outside(self) -> list[str]:
        return sorted(str(one) for one in self.outside.rglob("*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def hostile_path(chance: random.Random, root: Path) -> str:
    """Return a path of pieces that have led out of other systems."""
    pieces = [chance.choice(PIECES) for _ in range(chance.randint(1, 8))]
    begin = chance.choice((str(root), f"{root}/", f"/{root}", "", "/", f"{root}/../root"))
    return begin + "/" + "/".join(pieces)


def test_ten_thousand_hostile_paths_lead_nowhere_while_links_are_swapped(place: Place) -> None:
    names = trials("SEC15 hostile paths while links are swapped", short=10_000, long=100_000)
    seed = random.randrange(10**6)
    print(f"seed {seed}, {names} paths")
    chance = random.Random(seed)
    escapes: list[str] = []
    before = place.tree_outside()
    inside = 0

    def try_all() -> None:
        nonlocal inside
        for number in range(names):
            # Every third goes where the swapped link is: into the middle of the race.
            path = (
                f"{place.root}/a/{chance.choice(('file', 'secret', 'passwd'))}"
                if number % 3 == 0
                else hostile_path(chance, place.root)
            )
            data = place.read(path)
            inside += data == b"inside"
            if data == CANARY:
                escapes.append(path)
            if number % 10 == 0:
                place.write(f"{path}/new{number}")

    swaps = while_links_swap(place.root / "a", place.outside, try_all)
    print(f"{swaps} swaps, {inside} read inside")
    assert escapes == []
    assert place.tree_outside() == before
    # Both the race and the good way were really there.
    assert swaps > 10
    assert inside > 10


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=60))
def test_any_text_is_inside_or_refused(tmp_path: Path, text: str) -> None:
    if not (tmp_path / "root").exists():
        Place(tmp_path)
    roots = Roots(places_of([tmp_path / "root"]))
    for path in (text, f"{tmp_path}/root/{text}", f"{tmp_path}/root/../{text}"):
        try:
            _, parts = roots.split(path)
        except Rejected as error:
            assert error.code in ("policy_denied", "path_unusable")
        else:
            assert ".." not in parts


@pytest.mark.parametrize(
    ("below", "code"),
    [
        ("link/secret", "path_unusable"),
        ("a/secret", "path_unusable"),
        ("state/identity.json", "policy_denied"),
        ("missing/file", "path_unusable"),
        ("file/file", "path_unusable"),
        ("", "path_unusable"),
    ],
)
def test_refusal_says_why(place: Place, below: str, code: str) -> None:
    path = f"{place.root}/{below}"
    with pytest.raises(Rejected) as error, place.roots.parent(path) as (directory, name):
        open_plain(directory, name, path)
    assert error.value.code == code


def packed_names(root: Path) -> list[str]:
    """Return what is in the archive of a directory."""
    handle = os.open(root, os.O_RDONLY)
    archive = pack(handle, str(root), is_hidden=lambda found: False, say=lambda text: None)
    with os.fdopen(archive, "rb") as file, tarfile.open(fileobj=file) as found:
        names = found.getnames()
    os.close(handle)
    return names


def test_fifo_is_looked_at_and_never_opened(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Who opens it, and be it for a moment, lets its writer go on and die of SIGPIPE.
    pipe = place.root / "a" / "pipe"
    os.mkfifo(pipe)
    identity, real = pipe.stat().st_ino, os.open

    def watched(path: str, flags: int, *rest: int, **more: int) -> int:
        with contextlib.suppress(OSError):
            found = os.stat(path, dir_fd=more.get("dir_fd"))
            # With O_EXCL what is there is never opened.
            opens_nothing = flags & (os.O_PATH | os.O_EXCL)
            assert found.st_ino != identity or opens_nothing, f"{path} was opened"
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", watched)
    monkeypatch.chdir(tmp_path)
    assert place.read(str(pipe)) is None
    assert "b" in packed_names(place.root / "a")
    (place.root / "a" / ".file.0123456789abcdef.part").hardlink_to(pipe)
    part, target = open_part_of(place, sha256="0123456789abcdef" * 4)
    assert part == ".file.fedcba9876543210.part"
    assert target.read_bytes() == b"inside"


def open_part_of(place: Place, **fields: str) -> tuple[str, Path]:
    """Return the name of the part that a transfer to `a/file` writes into, and the file."""
    target = place.root / "a" / "file"
    transfer = Transfer(id="fedcba9876543210", token="t", path=str(target), **fields)
    handle = os.open(target.parent, os.O_RDONLY)
    part = open_part(Target(handle, "file", str(target)), transfer)
    os.close(part.descriptor)
    os.close(handle)
    return part.name, target


def test_root_that_is_a_link_itself_is_followed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "named").symlink_to(place.root)
    place.roots = Roots(places_of([tmp_path / "named"]))
    assert place.read(f"{tmp_path}/named/file") == b"inside"
    assert place.read(f"{place.root}/file") == b"inside"


def test_root_that_becomes_a_link_leads_nowhere(place: Place, tmp_path: Path) -> None:
    # As when a directory above it belongs to somebody with fewer rights than the agent.
    for name in ("root", "above/root"):
        root = tmp_path / name
        root.mkdir(parents=True, exist_ok=True)
        place.roots = Roots(places_of([root]))
        (tmp_path / "above" if "/" in name else root).rename(tmp_path / f"aside{len(name)}")
        (tmp_path / "outside" / "root").mkdir(exist_ok=True)
        (tmp_path / "outside" / "root" / "secret").write_bytes(CANARY)
        (tmp_path / name.split("/")[0]).symlink_to(place.outside)
        assert place.read(f"{root}/secret") is None
        place.write(f"{root}/new")
        assert not list(place.outside.rglob("new"))


def test_directory_that_holds_the_agents_own_is_not_replaced(place: Place) -> None:
    roots = Roots(places_of([place.root.parent]), hidden=[str(place.state)])
    with pytest.raises(Rejected) as error:
        roots.check_replaceable(str(place.root))
    assert error.value.code == "policy_denied"
    roots.check_replaceable(str(place.outside))


@pytest.mark.parametrize("name", ["a/file", "a/not-there", "missing/file", "linked", "same"])
def test_file_of_the_agent_is_neither_read_nor_written(place: Place, name: str) -> None:
    (place.root / "linked").symlink_to(place.root / "file")
    (place.root / "same").hardlink_to(place.root / "a" / "file")
    own = [place.root / "a/file", place.root / "a/not-there", place.root / "missing/file"]
    roots = Roots(places_of([place.root]), hidden=[*map(str, own), str(place.root / "linked")])
    with (
        pytest.raises(Rejected) as error,
        roots.parent(str(place.root / name), create=True) as (_, last),
    ):
        pytest.fail(f"{last} was let through")
    assert error.value.code == "policy_denied"
    with pytest.raises(Rejected):
        roots.check_replaceable(str(place.root / "a"))
    with roots.parent(str(place.root / "a" / "other")) as (_, last):
        assert last == "other"


def test_without_roots_nothing_is_allowed(place: Place) -> None:
    with pytest.raises(Rejected) as error:
        Roots({}).split(str(place.root / "file"))
    assert error.value.code == "policy_denied"
