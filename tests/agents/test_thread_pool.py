"""The probe pool of a host, whatever the host says."""

from __future__ import annotations

import pytest

from agent_client.protocol.messages import ProbePool, ThreadPool
from agents.figures import number_of
from agents.live_figures import thread_pool_json
from agents.thread_pool import thread_pool

POOL = ThreadPool(max_workers=2, active_threads=2, pending_tasks=6, completed_tasks=40)


def test_bar_is_never_overfull():
    pool = thread_pool(thread_pool_json(POOL))
    assert pool.total == 8
    assert pool.parts == ((2, "done"), (6, "waiting"))


def test_demand_beyond_the_maximum_is_said_in_a_sentence():
    said = ProbePool(probes=30, demand=2.51, dropped=4, missed={"overrun": 2, "queue_full": 4})
    pool = thread_pool(thread_pool_json(POOL, said))
    assert "30 probes need 2.5 threads" in pool.sentence
    assert "exceeds the maximum of 2 threads" in pool.sentence
    assert (pool.dropped, pool.missed, pool.is_known) == (4, 6, True)


def test_pool_that_is_large_enough_says_nothing():
    pool = thread_pool(thread_pool_json(POOL, ProbePool(probes=3, demand=1.9)))
    assert pool.sentence == ""


def test_overload_seen_by_the_host_itself_is_said():
    pool = thread_pool(thread_pool_json(POOL, ProbePool(probes=3, is_overloaded=True)))
    assert "exceeds the maximum" in pool.sentence


def test_host_without_a_scheduler_has_no_demand():
    assert not thread_pool(thread_pool_json(POOL)).is_known


def test_named_probes_are_bounded():
    found = thread_pool_json(POOL, ProbePool(running=tuple(range(1000))))
    assert len(found["running"]) == 200


@pytest.mark.parametrize(
    "pool",
    [
        {},
        {"missed": 5, "running": "x", "demand": "much", "max_workers": None},
        {"running": [1, "2", True, None], "missed": {"late": "many"}},
    ],
)
def test_nonsense_counts_as_nothing(pool):
    facts = thread_pool(pool)
    assert (facts.maximum, facts.missed, facts.sentence) == (0, 0, "")
    assert set(facts.running_ids) <= {1}


@pytest.mark.parametrize("value", [None, "9", True, [], {}])
def test_figures_that_are_none_count_as_nothing(value):
    assert number_of(value) == 0
