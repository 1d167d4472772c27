"""Whatever is lost, doubled, late or killed: each task has one start, one end, all its bytes.

`SIMULATION_SEED=<number>` repeats a run; the last lines of pytest say which it was, and a
failure tells the shortest story it found. `make faults` takes ten thousand stories.
"""

from __future__ import annotations

import os
import secrets

import pytest

from tests.faults.trials import trials
from tests.simulation.machine import explorer

ROW = "simulated: lost, doubled, late messages, crashes of either side (runs of 100 steps)"
STEPS = 100
PARTS = 4


@pytest.fixture(scope="session")
def first_seed() -> int:
    """Return the number from which the stories of this process are drawn."""
    return secrets.randbits(32)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_task_has_one_start_one_end_and_all_its_bytes(part, first_seed, record_property):
    seed = int(os.environ.get("SIMULATION_SEED", first_seed + part))
    record_property("SIMULATION_SEED", seed)
    stories = trials(ROW, short=500, long=2_500)
    explorer().explore(seed=seed, stories=stories, events=STEPS)
