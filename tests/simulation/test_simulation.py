"""Whatever is lost, doubled, late or killed: each task has one start, one end, all its bytes.

`SIMULATION_SEED=<number>` repeats a run; a failure prints it. `make faults` takes thousands
of examples.
"""

from __future__ import annotations

import os
import secrets

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.trials import trials
from tests.simulation.machine import Simulation

ROW = "simulated: lost, doubled, late messages, crashes of either side (runs of 100 steps)"
STEPS = 100


def simulate(machine: type[Simulation], *, examples: int, steps: int = STEPS) -> None:
    """Run a machine with a seed that is printed with a failure."""
    number = int(os.environ.get("SIMULATION_SEED", secrets.randbits(32)))
    print(f"SIMULATION_SEED={number} ({examples} examples of {steps} steps)")
    run_state_machine_as_test(
        seed(number)(machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


def test_every_task_has_one_start_one_end_and_all_its_bytes_under_any_fault():
    simulate(Simulation, examples=trials(ROW, short=400, long=2_500))
