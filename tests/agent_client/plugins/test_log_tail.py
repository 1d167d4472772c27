"""log_tail: no line is lost or doubled by rotation, truncation or a restart; none leaks."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_client.plugins import follow, sdk
from agent_client.plugins.allowed_files import NotAllowed, open_allowed
from agent_client.plugins.builtin import log_tail
from agent_client.plugins.builtin.log_tail import Plugin, parts_of, text_of
from agent_client.plugins.process import MAX_BYTES_PER_SECOND
from agent_client.plugins.runner import MAX_PARTS
from agent_client.plugins.wire import MAX_MESSAGE_BYTES
from tests.agent_client.plugins.speaking import refusal


class Tail:
    """A plug-in that follows files of one directory, by hand and with a clock of its own."""

    def __init__(self, directory: Path) -> None:
        self.logs = directory / "logs"
        self.logs.mkdir()
        self.path = self.logs / "app.log"
        self.state = directory / "state"
        self.state.mkdir()
        self.now = 100.0
        self.numbers: dict[str, float] = {}
        self.plugin = Plugin(clock=lambda: self.now)

    def host(self) -> dict[str, object]:
        return {"state_directory": str(self.state), "directories": [str(self.logs)]}

    def configure(self, **config: object) -> None:
        self.plugin.context = sdk.Context(
            state_directory=str(self.state), directories=(str(self.logs),)
        )
        self.plugin.configure({"paths": [str(self.path)], **config})
        self.plugin.start()

    def restart(self, **config: object) -> None:
        """Begin again as another process would after the last one was killed."""
        self.plugin = Plugin(clock=lambda: self.now)
        self.configure(**config)

    def write(self, *lines: str, end: str = "\n") -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + end)

    def read(self) -> list[str]:
        self.now += 10
        samples = list(self.plugin.collect())
        self.numbers = dict(samples[-1].metrics)
        return [line for sample in samples for line in sample.lines]


@pytest.fixture
def tail(tmp_path: Path) -> Tail:
    return Tail(tmp_path)


def test_new_lines_are_told_once(tail):
    tail.write("old")
    tail.configure()
    tail.write("a", "b")
    assert tail.read() == ["a", "b"]
    assert tail.read() == []
    assert tail.numbers["lines"] == 0


def test_file_is_told_from_its_start_when_asked_for(tail):
    tail.write("old")
    tail.configure(from_start=True)
    tail.write("new")
    assert tail.read() == ["old", "new"]


def test_line_waits_for_its_end(tail):
    tail.configure()
    tail.write("be", end="")
    assert tail.read() == []
    tail.write("gun")
    assert tail.read() == ["begun"]


def test_missing_file_is_told_from_its_start_when_it_appears(tail):
    tail.configure()
    assert tail.read() == []
    tail.write("first")
    assert tail.read() == ["first"]


def test_both_files_are_read_when_the_log_is_renamed(tail):
    tail.configure()
    tail.write("a")
    assert tail.read() == ["a"]
    tail.write("b")
    tail.path.rename(tail.logs / "app.log.1")
    with (tail.logs / "app.log.1").open("a") as late:
        late.write("c without end")
    tail.write("d")
    assert tail.read() == ["b", "c without end", "d"]


def test_renamed_file_is_read_on_while_there_is_no_new_one(tail):
    tail.write("0")
    tail.configure()
    tail.path.rename(tail.logs / "app.log.1")
    with (tail.logs / "app.log.1").open("a") as late:
        late.write("a\n")
    assert tail.read() == ["a"]
    tail.write("b")
    assert tail.read() == ["b"]


def test_file_is_told_from_its_start_when_it_is_truncated(tail):
    tail.write("a long line that was there")
    tail.configure()
    os.truncate(tail.path, 0)
    tail.write("x")
    assert tail.read() == ["x"]


def test_file_is_told_from_its_start_when_it_was_rewritten_and_is_longer_now(tail):
    tail.write("short")
    tail.configure()
    os.truncate(tail.path, 0)
    tail.write("much longer than what was there", "before")
    assert tail.read() == ["much longer than what was there", "before"]


def test_deleted_file_is_let_go(tail):
    tail.write("0")
    tail.configure()
    tail.write("last")
    tail.path.unlink()
    assert tail.read() == ["last"]
    assert not [fd for fd in Path("/proc/self/fd").iterdir() if str(tail.path) in _target(fd)]
    tail.write("again")
    assert tail.read() == ["again"]


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


def test_restart_neither_repeats_nor_skips(tail):
    tail.configure()
    tail.write("a")
    assert tail.read() == ["a"]
    assert tail.read() == []  # only now does the host have it for certain
    tail.write("b")
    tail.restart()
    assert tail.read() == ["b"]


def test_restart_repeats_what_the_host_may_not_have(tail):
    tail.configure()
    assert tail.read() == []
    tail.write("a")
    assert tail.read() == ["a"]
    tail.restart()
    tail.write("b")
    assert tail.read()[-1] == "b"


def test_rotation_while_nobody_looked_loses_nothing(tail):
    tail.write("0")
    tail.configure()
    assert tail.read() == []
    tail.plugin.stop()
    tail.write("a")
    tail.path.rename(tail.logs / "app.log.1")
    tail.write("b")
    tail.restart()
    assert tail.read() == ["a", "b"]


def test_spoiled_marks_are_as_good_as_none(tail):
    (tail.state / log_tail.STATE_FILE).write_text('{"x": 3')
    tail.write("old")
    tail.configure()
    tail.write("new")
    assert tail.read() == ["new"]


def test_patterns_choose_lines(tail):
    tail.configure(include=["error", "^W"], exclude=["harmless"])
    tail.write("an error", "all well", "W: look", "harmless error")
    assert tail.read() == ["an error", "W: look"]


def test_pattern_that_would_hang_costs_nothing(tail):
    tail.configure(include=["(a+)+$"])
    tail.write("a" * 60_000 + "!")
    assert tail.read() == []


def test_configuration_changes_without_a_gap(tail):
    tail.configure()
    tail.write("a")
    assert tail.read() == ["a"]
    tail.write("b")
    tail.configure(exclude=["x"])
    tail.write("x", "c")
    assert tail.read() == ["b", "c"]


def test_lines_name_their_file_when_there_are_several(tail):
    other = tail.logs / "b.log"
    tail.configure(paths=[str(tail.path), str(other)])
    tail.write("a")
    other.write_text("b\n")
    assert sorted(tail.read()) == ["app.log: a", "b.log: b"]


def test_too_many_lines_are_dropped_and_counted(tail):
    tail.configure(lines_per_second=5)
    tail.write(*(str(n) for n in range(120)))
    assert tail.read() == [str(n) for n in range(50)]  # ten seconds
    assert tail.numbers["dropped_lines"] == 70
    tail.write("next")
    assert tail.read() == ["next"]


def test_file_that_runs_away_is_caught_up_with(tail, monkeypatch):
    monkeypatch.setattr(follow, "MAX_BACKLOG_BYTES", 1_000)
    monkeypatch.setattr(follow, "MAX_READ_BYTES", 100)
    tail.configure()
    tail.write(*("x" * 9 for _ in range(500)))
    assert 0 < len(tail.read()) <= 10_000
    assert tail.numbers["skipped_bytes"] == 4_900


def test_what_is_too_much_for_one_look_comes_with_the_next(tail, monkeypatch):
    monkeypatch.setattr(follow, "MAX_READ_BYTES", 100)
    monkeypatch.setattr(follow, "_CHUNK_BYTES", 50)
    tail.configure()
    lines = [f"{n:09}" for n in range(30)]
    tail.write(*lines)
    assert [line for _ in range(4) for line in tail.read()] == lines


def test_nothing_is_lost_or_doubled_by_any_order_of_events(tail):
    rng = random.Random(7)
    tail.configure()
    told, written, number = [], [], 0
    for _ in range(400):
        event = rng.choice(["write", "write", "part", "read", "rename", "restart"])
        if event in ("write", "part"):
            lines = [f"line {number + k}" for k in range(rng.randint(1, 5))]
            number += len(lines)
            written += lines
            if event == "part":
                half = lines[0][: len(lines[0]) // 2]
                tail.write(half, end="")
                told += tail.read()
                lines[0] = lines[0][len(half) :]
            tail.write(*lines)
        elif event == "read":
            told += tail.read()
        elif event == "rename" and tail.path.exists():
            for old in tail.logs.glob("app.log.*"):
                told += tail.read()  # a rotation that deletes unread lines loses them
                old.unlink()
            tail.path.rename(tail.logs / "app.log.1")
        elif event == "restart":
            tail.plugin.stop()
            tail.restart()
    told += tail.read()
    assert told == written
    assert number > 300


# --- bounds ----------------------------------------------------------------------------


def test_every_part_fits_into_a_message_whatever_the_lines_hold():
    lines = ["\x1b" * 2_000, "中" * 2_000, "x" * 2_000] * 1_000
    parts, left_out = parts_of(lines)
    sizes = [len(json.dumps(part.lines, ensure_ascii=False).encode()) for part in parts]
    assert max(sizes) < MAX_MESSAGE_BYTES - 1_000
    assert sum(sizes) < MAX_BYTES_PER_SECOND / 2
    assert len(parts) <= MAX_PARTS
    assert sum(len(part.lines) for part in parts) + left_out == len(lines)


def test_line_becomes_text_that_can_be_stored():
    assert text_of(b"caf\xc3\xa9 \xff\0end\r") == "café \ufffd\ufffdend"


def test_long_line_is_matched_as_a_whole_and_told_cut(tail):
    tail.configure(include=["end$"])
    tail.write("x" * 10_000 + "end", "y" * 10_000)
    assert tail.read() == ["x" * log_tail.MAX_LINE_CHARACTERS]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "paths"),
        ({"paths": ["app.log"]}, "paths"),
        ({"paths": ["/etc/passwd"]}, "paths"),
        ({"paths": [7]}, "paths"),
        ({"paths": ["/logs/a"] * 21 + [f"/logs/{n}" for n in range(21)]}, "paths"),
        ({"include": ["("]}, "include"),
        ({"exclude": ["x" * 2_000]}, "exclude"),
        ({"lines_per_second": 0}, "lines_per_second"),
        ({"lines_per_second": True}, "lines_per_second"),
        ({"lines_per_second": 100_000}, "lines_per_second"),
    ],
)
def test_wrong_configuration_is_refused_with_its_field(tail, config, field):
    usable = {} if field == "paths" else {"paths": [str(tail.path)]}
    assert refusal(Plugin(), {**usable, **config}, **tail.host())["field"] == field


# --- where files may be ------------------------------------------------------------------


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    file = tmp_path / "secret.log"
    file.write_text("secret\n")
    return file


def test_link_that_leads_out_is_refused_when_it_is_configured(tail, canary):
    tail.path.symlink_to(canary)
    answer = refusal(Plugin(), {"paths": [str(tail.path)]}, **tail.host())
    assert answer["field"] == "paths"


def test_link_that_leads_out_later_gives_nothing(tail, canary):
    tail.configure()
    tail.path.symlink_to(canary)
    assert tail.read() == []
    assert tail.numbers["unreadable_files"] == 1


def test_link_that_is_swapped_between_look_and_open_gives_nothing(tail, canary, monkeypatch):
    tail.path.symlink_to(canary)
    monkeypatch.setattr(
        "agent_client.plugins.allowed_files.os.path.realpath", lambda path: str(path)
    )
    with pytest.raises(NotAllowed, match="no plain file"):
        open_allowed(str(tail.path), directories=[str(tail.logs)], hidden=[])


def test_directory_that_becomes_a_link_between_look_and_open_gives_nothing(
    tail, canary, monkeypatch
):
    (tail.logs / "deep").symlink_to(canary.parent)
    monkeypatch.setattr(
        "agent_client.plugins.allowed_files.os.path.realpath", lambda path: str(path)
    )
    with pytest.raises(NotADirectoryError):
        open_allowed(str(tail.logs / "deep" / canary.name), directories=[str(tail.logs)], hidden=[])


@contextlib.contextmanager
def other_view(source: Path, target: Path) -> Iterator[int]:
    """Yield a process in whose view of the file system one file stands in for another."""
    script = 'mount --bind "$0" "$1" && echo ready && exec cat'
    with subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, source, target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        if child.stdout.readline() != b"ready\n":
            assert os.environ.get("CI") != "true", "a mount namespace is needed"
            pytest.skip("this machine gives no mount namespace to its users")
        yield child.pid
        child.stdin.close()


def test_link_into_the_view_of_another_process_is_not_followed(tail, canary):
    # Any user may make such a view, and root's agent may look into it.
    stand_in = tail.logs / "stand-in.log"
    stand_in.write_text("innocent\n")
    with other_view(canary, stand_in) as pid:
        tail.path.symlink_to(f"/proc/{pid}/root{stand_in}")
        assert tail.path.read_text() == "secret\n"
        tail.configure(from_start=True)
        assert tail.read() == ["innocent"]
        assert tail.read() == []


def test_device_is_not_opened_to_look_at_it(tail, monkeypatch):
    opened = []
    real_open = os.open

    def note(path, flags, *rest, **more):
        opened.append(flags)
        return real_open(path, flags, *rest, **more)

    monkeypatch.setattr("agent_client.plugins.allowed_files.os.open", note)
    with pytest.raises(NotAllowed, match="no plain file"):
        open_allowed("/dev/null", directories=["/dev"], hidden=[])
    assert opened
    assert all(flags & os.O_PATH for flags in opened)


def test_link_within_the_directories_is_followed(tail):
    (tail.logs / "real.log").write_text("")
    tail.path.symlink_to(tail.logs / "real.log")
    tail.configure()
    (tail.logs / "real.log").write_text("a\n")
    assert tail.read() == ["a"]


def test_hidden_directory_is_refused(tail):
    (tail.logs / "agent").mkdir()
    (tail.logs / "agent" / "identity.json").write_text("{}")
    with pytest.raises(NotAllowed, match="belongs to the agent"):
        open_allowed(
            str(tail.logs / "agent" / "identity.json"),
            directories=[str(tail.logs)],
            hidden=[str(tail.logs / "agent")],
        )


def test_pipe_is_refused_without_waiting_for_a_writer(tail):
    os.mkfifo(tail.path)
    with pytest.raises(NotAllowed, match="no plain file"):
        open_allowed(str(tail.path), directories=[str(tail.logs)], hidden=[])
