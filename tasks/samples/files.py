"""The files of samples: `<id>.samples` beside the log, JSON lines, at most some 300 of them.

Samples are curves, not records: they are not synced, and a line torn by a crash is
skipped when reading.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from django.conf import settings

from tasks.samples.sample import Sample

MAX_READ_BYTES = 256 * 1024
_MODE = 0o600
_decoder = msgspec.json.Decoder(Sample)


def path_of(task_id: int) -> Path:
    """Return the file of a task."""
    return Path(settings.TASK_LOG_DIR) / f"{int(task_id)}.samples"


def read(task_id: int) -> list[Sample]:
    """Return the samples of a task, oldest first; empty when there are none."""
    try:
        with path_of(task_id).open("rb") as file:
            lines = file.read(MAX_READ_BYTES).splitlines()
    except OSError:
        return []
    return [sample for line in lines if (sample := _parse(line)) is not None]


def append(task_id: int, sample: Sample) -> None:
    """Add one sample; raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path_of(task_id), flags, _MODE)
    try:
        os.write(descriptor, _line(sample))
    finally:
        os.close(descriptor)


def replace(task_id: int, samples: Sequence[Sample]) -> None:
    """Put these samples in the place of all, at once; raises OSError."""
    path = path_of(task_id)
    draft = path.with_suffix(".samples.draft")
    draft.write_bytes(b"".join(_line(sample) for sample in samples))
    draft.chmod(_MODE)
    draft.replace(path)


def _line(sample: Sample) -> bytes:
    """Return a sample as a line."""
    return msgspec.json.encode(sample) + b"\n"


def _parse(line: bytes) -> Sample | None:
    """Return the sample of a line, None when it is not one."""
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError:
        return None
