"""Equal lists have equal digests; whatever matters changes it."""

from __future__ import annotations

import itertools

import pytest

from agent_client.protocol.digest import holds_digest
from agent_client.protocol.messages import Hold

HOLDS = [Hold(task_id=number, offer=1, state="running") for number in (1, 2, 10)]


def test_digest_is_the_same_when_the_order_differs():
    assert len({holds_digest(order) for order in itertools.permutations(HOLDS)}) == 1


def test_digest_is_the_same_when_only_the_log_grew():
    grown = [Hold(task_id=1, offer=1, state="running", log_bytes=9), *HOLDS[1:]]
    assert holds_digest(grown) == holds_digest(HOLDS)


@pytest.mark.parametrize(
    "other",
    [
        [],
        HOLDS[:2],
        [*HOLDS[:2], Hold(task_id=10, offer=2, state="running")],
        [*HOLDS[:2], Hold(task_id=10, offer=1, state="finished")],
        [*HOLDS[:2], Hold(task_id=11, offer=1, state="running")],
    ],
)
def test_digest_differs_when_a_task_does(other):
    assert holds_digest(other) != holds_digest(HOLDS)
