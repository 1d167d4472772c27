"""The silence of a host is what was watched of it, whatever the wall clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tasks.silence import LONGEST_GAP_SECONDS, SilenceWatch

DAY = 24 * 3600.0
TEN_YEARS = 3650 * DAY
GRACE = 120.0
ROUND = 5.0


class Watched:
    """A watch of one host, with both clocks moved by hand."""

    def __init__(self, *, silent_seconds: float) -> None:
        """Begin with a host that has been silent for some time."""
        self.watch = SilenceWatch()
        self.wall, self.tick = datetime(2030, 1, 1, tzinfo=UTC), 77.0
        self.stamp: datetime | None = self.wall - timedelta(seconds=silent_seconds)
        self.look()

    def look(self) -> None:
        """Make one round."""
        stamps = {"host": self.stamp} if self.stamp else {}
        self.watch.look(stamps, now=self.wall, tick=self.tick)

    def pass_time(self, seconds: float) -> None:
        """Let rounds follow each other for some time."""
        for _ in range(int(seconds / ROUND)):
            self.wall += timedelta(seconds=ROUND)
            self.tick += ROUND
            self.look()

    def speak(self) -> None:
        """Let the host say something, and fall silent at once; no round sees it."""
        self.stamp = self.wall

    @property
    def silent_seconds(self) -> float:
        """Return what the watch says."""
        return self.watch.silent_seconds("host", grace_seconds=GRACE)


@pytest.fixture
def quiet_minute() -> Watched:
    """Return a host that fell silent under a watch that runs for long, a minute ago."""
    watched = Watched(silent_seconds=0.0)
    watched.stamp = None
    watched.pass_time(GRACE)
    watched.speak()
    watched.pass_time(60)
    return watched


def test_silence_is_what_was_watched(quiet_minute):
    assert quiet_minute.silent_seconds == pytest.approx(60, abs=ROUND)


@pytest.mark.parametrize("jump_seconds", [DAY, TEN_YEARS, -DAY, -TEN_YEARS])
def test_jump_of_the_wall_clock_changes_no_silence(quiet_minute, jump_seconds):
    quiet_minute.wall += timedelta(seconds=jump_seconds)
    quiet_minute.pass_time(60)
    assert quiet_minute.silent_seconds <= 120 + ROUND
    quiet_minute.pass_time(3600)
    assert quiet_minute.silent_seconds >= 3600 - ROUND


def test_jump_between_the_last_beat_and_the_first_look_counts_a_round_at_most(quiet_minute):
    quiet_minute.speak()
    quiet_minute.wall += timedelta(days=1)
    quiet_minute.pass_time(ROUND)
    assert quiet_minute.silent_seconds <= 2 * ROUND


def test_silence_before_a_restart_counts_after_the_grace_only():
    watched = Watched(silent_seconds=2 * DAY)
    watched.pass_time(GRACE - ROUND)
    assert watched.silent_seconds == 0
    watched.pass_time(ROUND)
    assert watched.silent_seconds == pytest.approx(2 * DAY + GRACE)


def test_host_that_comes_back_within_the_grace_begins_anew():
    watched = Watched(silent_seconds=2 * DAY)
    watched.pass_time(60)
    watched.speak()
    watched.pass_time(GRACE)
    assert watched.silent_seconds <= GRACE + ROUND


def test_clock_that_is_put_right_after_a_start_takes_its_error_back():
    watched = Watched(silent_seconds=TEN_YEARS)
    watched.wall -= timedelta(seconds=TEN_YEARS - 60)
    watched.pass_time(GRACE)
    assert watched.silent_seconds == pytest.approx(60 + GRACE, abs=ROUND)


def test_stamp_from_the_future_is_no_silence():
    watched = Watched(silent_seconds=-TEN_YEARS)
    watched.pass_time(GRACE)
    assert watched.silent_seconds == pytest.approx(GRACE)


def test_watch_begins_anew_after_a_pause_of_the_process(quiet_minute):
    quiet_minute.wall += timedelta(days=1)
    quiet_minute.tick += LONGEST_GAP_SECONDS + 1
    quiet_minute.look()
    assert quiet_minute.silent_seconds == 0
    quiet_minute.pass_time(GRACE)
    assert quiet_minute.silent_seconds > DAY


def test_host_that_speaks_is_forgotten(quiet_minute):
    quiet_minute.stamp = None
    quiet_minute.pass_time(ROUND)
    assert quiet_minute.silent_seconds == 0
    assert not quiet_minute.watch._silent
