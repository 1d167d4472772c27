"""The table of processes: real ones, awkward names, and processes that vanish."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from agent_client import process_table
from agent_client.process_table import ProcessRow, ProcessTable, read_process_table


def _row(pid: int, parent: int) -> ProcessRow:
    return ProcessRow(pid, parent, 0.0, 0.0, 0)


def _pids(table: ProcessTable, pid: int) -> set[int]:
    return {row.pid for row in table.tree(pid)}


def test_tree_holds_all_descendants_and_nobody_else():
    table = ProcessTable({p: _row(p, q) for p, q in ((1, 0), (2, 1), (3, 2), (4, 3), (5, 1))})
    assert _pids(table, 2) == {2, 3, 4}


def test_tree_starts_with_its_root():
    table = ProcessTable({p: _row(p, q) for p, q in ((3, 2), (2, 1))})
    assert table.tree(2)[0].pid == 2


def test_tree_is_empty_when_the_root_is_gone():
    assert ProcessTable({3: _row(3, 2)}).tree(2) == []


def test_tree_ends_when_reused_pids_form_a_circle():
    table = ProcessTable({2: _row(2, 3), 3: _row(3, 2)})
    assert _pids(table, 2) == {2, 3}


def test_real_table_knows_this_process():
    row = read_process_table().rows[os.getpid()]
    assert row.parent == os.getppid()
    assert row.rss_bytes > 1024 * 1024
    assert row.cpu_seconds > 0


def test_real_table_finds_a_child():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in _pids(read_process_table(), os.getpid())


def _stat(name: bytes) -> bytes:
    fields = b"S 7 1 1 0 -1 0 0 0 0 0 100 50 30 20 20 0 1 0 500 4096 3 " + b"0 " * 28
    return b"42 (" + name + b") " + fields


@pytest.mark.parametrize("name", [b"sh", b"a b", b") S 1 (", b"\xff\n)"])
def test_stat_is_parsed_whatever_the_name(name):
    row = process_table._parse_stat(_stat(name), tick=100, page=4096)
    assert row == ProcessRow(42, 7, started=5.0, cpu_seconds=2.0, rss_bytes=3 * 4096)


def test_process_that_vanishes_or_is_cut_short_is_left_out(tmp_path):
    for pid, text in (("1", _stat(b"x")), ("2", None), ("3", b"3 (cut"), ("self", _stat(b"y"))):
        (tmp_path / pid).mkdir()
        if text is not None:
            (tmp_path / pid / "stat").write_bytes(text)
    assert set(process_table._from_proc(tmp_path)) == {42}


def test_psutil_gives_the_same_answer_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "somewhere")
    row = read_process_table().rows[os.getpid()]
    assert row.parent == os.getppid()
    assert row.started == psutil.Process().create_time()
