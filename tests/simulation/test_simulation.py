"""Whatever is lost, doubled, late or killed: each task has one start, one end, all its bytes.

`SIMULATION_SEED=<number>` repeats a run; the last lines of pytest say which it was, and a
failure tells the shortest story it found. `make faults` takes twenty thousand stories.
"""

from __future__ import annotations

import os
import secrets

import pytest

from tests.faults.trials import trials
from tests.simulation.machine import explorer
from tests.simulation.state_machine import simulate

ROW = "simulated: lost, doubled, late messages, crashes of either side (runs of 100 steps)"
STEPS = 100
PARTS = 4


@pytest.fixture(scope="session")
def first_seed() -> int:
    """Return the number from which the stories of this process are drawn."""
    return secrets.randbits(32)


@pytest.fixture(params=range(PARTS))
def seed(request, first_seed, record_property) -> int:
    """Return the seed of one part; it is in the last lines of pytest."""
    number = int(os.environ.get("SIMULATION_SEED", first_seed + request.param))
    record_property("SIMULATION_SEED", number)
    return number


def test_every_task_has_one_start_one_end_and_all_its_bytes(seed):
    stories = trials(ROW, short=500, long=2_500)
    explorer().explore(seed=seed, stories=stories, events=STEPS)


def test_state_machine_finds_no_story_that_ends_badly(seed):
    simulate(number=seed, examples=trials(ROW, short=500, long=2_500), steps=STEPS)
