"""Files of samples: what was written is read, what is no sample is skipped."""

from __future__ import annotations

import pytest

from tasks.samples import files
from tasks.samples.sample import Sample

ONE, TWO = Sample(1, 5.0, 10), Sample(3, 6.5, 20, 80.0, 4_000)


@pytest.fixture(autouse=True)
def _directory(settings, tmp_path):
    settings.TASK_LOG_DIR = tmp_path / "samples"
    settings.TASK_LOG_DIR.mkdir()


def test_samples_are_read_as_they_were_written():
    files.append(7, ONE)
    files.append(7, TWO)
    assert files.read(7) == [ONE, TWO]
    assert files.path_of(7).stat().st_mode & 0o077 == 0


def test_task_without_a_file_has_no_samples():
    assert files.read(7) == []


@pytest.mark.parametrize("torn", [b'{"time":5,"cpu', b"\xff\n", b"[]\n", b'{"time":"x"}\n'])
def test_line_that_is_no_sample_is_skipped(torn):
    files.append(7, ONE)
    with files.path_of(7).open("ab") as file:
        file.write(torn)
    assert files.read(7) == [ONE]


def test_replacing_leaves_nothing_else_behind(settings):
    files.append(7, ONE)
    files.replace(7, [TWO])
    assert files.read(7) == [TWO]
    assert [path.name for path in settings.TASK_LOG_DIR.iterdir()] == ["7.samples"]
    assert files.path_of(7).stat().st_mode & 0o077 == 0
