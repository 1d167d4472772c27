"""Records of a task directory are written durably and read tolerantly."""

from __future__ import annotations

import pytest

from agent_client.sub_agent.records import FileSystem
from agent_client.tasks.taskdir import ExitRecord, TaskDirectory, directory_name, parse_name
from tests.agent_client.tasks.conftest import spec


class CountingDisk(FileSystem):
    """A file system that notes what was made durable."""

    def __init__(self) -> None:
        self.synced: list[str] = []

    def sync_directory(self, path):
        self.synced.append(path)
        super().sync_directory(path)


@pytest.fixture
def directory(tmp_path) -> TaskDirectory:
    """Return the directory of an accepted task."""
    made = TaskDirectory(tmp_path / "tasks/here-1-1", file_system=CountingDisk())
    made.store_spec(spec(env={"A": "ü"}))
    return made


def test_spec_is_read_back(directory):
    assert directory.spec() == spec(env={"A": "ü"})


def test_names_are_durable_when_a_spec_is_stored(directory):
    assert directory._file_system.synced == [str(directory.path), str(directory.path.parent)]


def test_directory_is_its_owners_only(directory):
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert (directory.path / "spec.json").stat().st_mode & 0o777 == 0o600


def test_order_marks_an_attempted_start(directory):
    assert not directory.has_order()
    directory.store_order(environment={"A": "1"}, cpu_ids=[0], gpu_ids=["GPU-x"])
    assert directory.has_order()


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "text"}', b"[]"])
def test_torn_records_are_none(directory, content):
    for name in ("run.json", "exit.json", "spec.json"):
        (directory.path / name).write_bytes(content)
    assert directory.run() is directory.exit() is directory.spec() is None


def test_torn_claim_is_a_claim_of_nobody(directory):
    assert directory.claim() is None
    (directory.path / "claim").write_bytes(b"{")
    assert directory.claim().pid == 0


def test_task_is_abandoned_once(directory):
    assert directory.abandon()
    assert not directory.abandon()
    assert directory.claim().abandoned
    assert not directory.claim_is_held()


def test_exit_is_read_back(directory):
    end = ExitRecord(reason="exit", finished_at=2.5, exit_code=0, log_bytes=7)
    directory.store_exit(end)
    assert directory.exit() == end


def test_stop_says_when_nobody_listens(directory):
    assert not directory.request_stop(reason="user_cancel", grace_seconds=1.0)


def test_crash_of_a_sub_agent_is_told(directory):
    assert directory.crash() == ""
    (directory.path / "crash").write_bytes(b"TypeError: oh \xff")
    assert directory.crash().startswith("TypeError: oh")


@pytest.mark.parametrize("installation", ["x", "a-b", "i.1_2"])
def test_name_is_parsed_back(installation):
    name = directory_name(spec(12, offer=3, installation=installation))
    assert parse_name(name) == (installation, (12, 3))


@pytest.mark.parametrize("name", ["", "x", "x-1", "x-1-y", ".trash-x-1-1", "x-1-1.tmp", "../x-1-1"])
def test_other_names_are_no_tasks(name):
    assert parse_name(name) is None
