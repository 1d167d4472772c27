"""log_tail: new lines of log files, chosen by patterns and never more than a set rate.

Remembers how far each file was read, so that a restart of the agent neither repeats nor
skips lines. The host's policy says below which directories files may be read.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from agent_client.plugins import sdk
from agent_client.plugins.allowed_files import NotAllowed, check_allowed, open_allowed
from agent_client.plugins.follow import Follower, Mark

MAX_FILES = 20
MAX_PATTERNS = 20
DEFAULT_LINES_PER_SECOND = 100
MAX_LINES_PER_SECOND = 1_000
MAX_LINES_PER_COLLECT = 3_000
MAX_LINE_CHARACTERS = 2_000
LINES_PER_PART = 200
PART_BYTES = 48 * 1024
MAX_PARTS = 20
"""More would be taken for a flood."""
STATE_FILE = "marks.json"


class Settings:
    """A checked configuration."""

    def __init__(self, config: dict[str, Any], context: sdk.Context) -> None:
        """Check every field; raises ConfigRefused."""
        self.paths = _texts(config, "paths", MAX_FILES)
        if not self.paths:
            raise sdk.ConfigRefused("paths", "name at least one file")
        for path in self.paths:
            _check_path(path, context)
        self.include = [_pattern("include", one) for one in _texts(config, "include", MAX_PATTERNS)]
        self.exclude = [_pattern("exclude", one) for one in _texts(config, "exclude", MAX_PATTERNS)]
        self.lines_per_second = _number(config)
        self.from_start = bool(config.get("from_start", False))

    def wants(self, line: str) -> bool:
        """Return whether the patterns let a line pass."""
        if self.include and not any(pattern.search(line) for pattern in self.include):
            return False
        return not any(pattern.search(line) for pattern in self.exclude)


class Plugin(sdk.Plugin):
    """config: paths, include, exclude, lines_per_second (100), from_start (false)."""

    name = "log_tail"
    version = "1"
    metrics = {
        "lines": sdk.gauge("", "Lines told since the last collection."),
        "dropped_lines": sdk.gauge("", "Lines left out because they were too many."),
        "skipped_bytes": sdk.gauge("bytes", "Bytes left out because a file ran away."),
        "unreadable_files": sdk.gauge("", "Files that cannot be read or are not allowed."),
    }

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Follow nothing until configured."""
        self._clock = clock
        self._settings: Settings | None = None
        self._followers: dict[str, Follower] = {}
        self._turn = 0
        self._unreadable = 0
        self._collected_at = clock()

    def configure(self, config: dict[str, Any]) -> None:
        """Follow other files from now on; those that stay are read on."""
        # Checked as a whole before anything changes: a refused one leaves all as it was.
        settings = Settings(config, self.context)
        # Taken from the open files, so that a change of patterns loses no line.
        marks = self._marks()
        for follower in self._followers.values():
            follower.close()
        open_file = partial(
            open_allowed, directories=self.context.directories, hidden=self.context.hidden
        )
        self._followers = {
            path: Follower(
                path,
                open_file=open_file,
                mark=marks.get(path),
                from_start=settings.from_start,
            )
            for path in settings.paths
        }
        for follower in self._followers.values():
            # What cannot be opened yet is counted at the first collection.
            with contextlib.suppress(OSError, NotAllowed):
                follower.settle()
        self._settings = settings

    def start(self) -> None:
        """Count the time for the rate from now on."""
        self._collected_at = self._clock()

    def collect(self) -> Iterable[sdk.Sample]:
        """Return the lines that were written since the last call."""
        # The agent asks again: it has what was told before.
        self._save()
        now, settings = self._clock(), self._settings
        if settings is None:
            return []
        # The rate is for the time since the last question: bursts between are welcome.
        seconds = max(1.0, now - self._collected_at)
        self._collected_at = now
        budget = min(MAX_LINES_PER_COLLECT, int(seconds * settings.lines_per_second))
        told: list[str] = []
        dropped = 0
        for line in self._new_lines():
            if len(told) < budget:
                told.append(line)
            else:
                dropped += 1
        parts, left_out = parts_of(told)
        numbers = self._numbers(len(told) - left_out, dropped + left_out)
        return [*parts[:-1], sdk.Sample(numbers, parts[-1].lines)]

    def stop(self) -> None:
        """Remember how far the files were read."""
        self._save()

    def _new_lines(self) -> Iterator[str]:
        """Yield the wanted new lines of all files, another file first at each call."""
        settings = self._settings
        assert settings is not None  # noqa: S101 (configured before it is started)
        self._unreadable = 0
        paths = list(self._followers)
        # Another file first each time: a noisy one must not eat all of the rate.
        self._turn = (self._turn + 1) % len(paths)
        for path in paths[self._turn :] + paths[: self._turn]:
            prefix = f"{Path(path).name}: " if len(paths) > 1 else ""
            try:
                for raw in self._followers[path].lines():
                    line = text_of(raw)
                    if settings.wants(line):
                        yield prefix + line[:MAX_LINE_CHARACTERS]
            except (OSError, NotAllowed):
                self._unreadable += 1

    def _numbers(self, told: int, dropped: int) -> dict[str, float]:
        skipped = 0
        for follower in self._followers.values():
            skipped += follower.skipped_bytes
            follower.skipped_bytes = 0
        return {
            "lines": told,
            "dropped_lines": dropped,
            "skipped_bytes": skipped,
            "unreadable_files": self._unreadable,
        }

    # --- what outlives the process ---------------------------------------------------

    def _marks(self) -> dict[str, Mark]:
        """Return how far each file was read, by this process or the one before."""
        marks = _load(Path(self.context.state_directory) / STATE_FILE)
        for path, follower in self._followers.items():
            mark = follower.mark()
            if mark is not None:
                marks[path] = mark
        return marks

    def _save(self) -> None:
        """Write the marks; a disk that is full costs a repetition after a restart."""
        marks = {
            path: mark
            for path, follower in self._followers.items()
            if (mark := follower.mark()) is not None
        }
        file = Path(self.context.state_directory) / STATE_FILE
        # Renamed into place: a half-written file of marks would repeat everything.
        temporary = file.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(marks), encoding="utf-8")
            temporary.replace(file)
        except OSError:
            return


def text_of(raw: bytes) -> str:
    """Return a line as text without what no database stores."""
    return raw.removesuffix(b"\r").decode("utf-8", "replace").replace("\0", "\ufffd")


def parts_of(lines: list[str]) -> tuple[list[sdk.Sample], int]:
    """Return lines in samples that each fit into one message, and how many found no room."""
    parts: list[sdk.Sample] = []
    part: list[str] = []
    size = 0
    for number, line in enumerate(lines):
        # Escapes make a line longer than it looks, up to six times.
        size_of_line = len(json.dumps(line, ensure_ascii=False).encode()) + 1
        if part and (len(part) == LINES_PER_PART or size + size_of_line > PART_BYTES):
            parts.append(sdk.Sample(lines=tuple(part)))
            part, size = [], 0
            if len(parts) == MAX_PARTS:
                return parts, len(lines) - number
        part.append(line)
        size += size_of_line
    return [*parts, sdk.Sample(lines=tuple(part))], 0


def _texts(config: dict[str, Any], field: str, limit: int) -> list[str]:
    """Return a list of texts of the configuration; one text may stand for a list of one."""
    value = config.get(field) or []
    # One path is what most people want; a form field is a text.
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise sdk.ConfigRefused(field, "must be a list of texts")
    if len(value) > limit:
        raise sdk.ConfigRefused(field, f"has more than {limit} entries")
    return list(dict.fromkeys(value))


def _check_path(path: str, context: sdk.Context) -> None:
    """Refuse a path that can never be read here."""
    if not Path(path).is_absolute() or "\0" in path:
        raise sdk.ConfigRefused("paths", f"{path!r} is not absolute")
    try:
        check_allowed(
            os.path.realpath(path), directories=context.directories, hidden=context.hidden
        )
    except NotAllowed as error:
        raise sdk.ConfigRefused("paths", str(error)) from error


def _pattern(field: str, text: str) -> Any:
    """Return a compiled pattern of RE2, which no line can make hang."""
    # Only who filters pays for loading the matcher.
    from agent_client.protocol.probe_kinds.patterns import compiled, pattern_problem

    if problem := pattern_problem(text):
        raise sdk.ConfigRefused(field, f"{text!r}: {problem}")
    return compiled(text)


def _number(config: dict[str, Any]) -> int:
    """Return the wanted rate."""
    value = config.get("lines_per_second", DEFAULT_LINES_PER_SECOND)
    # True is 1 for Python, and surely a mistake here.
    if isinstance(value, bool) or not isinstance(value, int):
        raise sdk.ConfigRefused("lines_per_second", "must be a whole number")
    if not 1 <= value <= MAX_LINES_PER_SECOND:
        raise sdk.ConfigRefused("lines_per_second", f"must be 1 to {MAX_LINES_PER_SECOND}")
    return value


def _load(file: Path) -> dict[str, Mark]:
    """Return stored marks; unreadable ones are as good as none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(path): Mark(*mark) for path, mark in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
