"""History of hosts: one line a minute in `data/logs/agents/<id>.jsonl`, kept seven days.

Lines are samples for sparklines, not records: they are not synced, and a torn or foreign
line is skipped when reading.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from agents import hot
from agents.hot import HotAgent

SAMPLE_SECONDS = 60.0
KEEP_SECONDS = 7 * 24 * 3600
MAX_LINE_BYTES = 1_024
_AGENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def path_of(agent_id: str) -> Path:
    """Return the host's file; raises ValueError for an id that is no plain name."""
    if not _AGENT_ID.fullmatch(agent_id):
        raise ValueError("not an agent id")
    return Path(settings.DIALER_DATA_DIR) / "logs" / "agents" / f"{agent_id}.jsonl"


def sample() -> int:
    """Append a line for every host that spoke since its last one; returns how many."""
    now = time.monotonic()
    due = [one for one in hot.all_agents() if _is_due(one, now)]
    for one in due:
        path = path_of(one.agent_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="ascii") as file:
            file.write(_line(one))
        hot.note_history(one.agent_id, now)
    return len(due)


def history(agent_id: str, minutes: int = 60) -> list[dict[str, Any]]:
    """Return the samples of the last minutes, oldest first; empty when there are none.

    Keys: time (seconds since the epoch), cpu, memory, gpu (percent), tasks.
    """
    try:
        lines = _tail(path_of(agent_id), minutes * MAX_LINE_BYTES)
    except OSError:
        return []
    since = time.time() - minutes * 60
    samples = (_parse(line) for line in lines)
    return [one for one in samples if one and one["time"] >= since]


def trim(agent_id: str) -> None:
    """Drop lines older than seven days, once a quarter of the file is too old."""
    path = path_of(agent_id)
    lines = path.read_bytes().splitlines(keepends=True)
    oldest = time.time() - KEEP_SECONDS
    kept = [line for line in lines if (one := _parse(line)) and one["time"] >= oldest]
    if len(kept) < len(lines) * 3 // 4:
        draft = path.with_suffix(".draft")
        draft.write_bytes(b"".join(kept))
        draft.replace(path)


def files() -> list[Path]:
    """Return the files of all hosts."""
    return sorted((Path(settings.DIALER_DATA_DIR) / "logs" / "agents").glob("*.jsonl"))


def _is_due(one: HotAgent, now: float) -> bool:
    """Return whether a minute passed since the last line and the host still speaks."""
    return now - one.history_at >= SAMPLE_SECONDS and now - one.beat_at < SAMPLE_SECONDS


def _line(one: HotAgent) -> str:
    """Return the host's sample as a line."""
    gpus = one.gpus or ()
    facts = {
        "time": int(time.time()),
        "cpu": round(one.resources.cpu_usage, 1) if one.resources else 0.0,
        "memory": round(one.resources.memory_usage, 1) if one.resources else 0.0,
        "gpu": round(sum(gpu.utilization for gpu in gpus) / len(gpus), 1) if gpus else None,
        "tasks": len(one.sub_agents),
    }
    return json.dumps(facts) + "\n"


def _tail(path: Path, limit_bytes: int) -> list[bytes]:
    """Return the last whole lines of a file, reading at most limit_bytes."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = max(0, size - limit_bytes)
        file.seek(start)
        lines = file.read().splitlines()
    return lines[1:] if start else lines


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the sample of a line, None when it is not one."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("time"), int) else None
