"""Results on their way in: exactly once, and nothing hostile holds up the rest."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from agent_client.protocol.probes import ProbeResult
from tasks.probes.ingest.batch import Submission, store_batch
from tasks.probes.results import results_of, shown
from tasks.probes.series.models import ProbeResult as Stored
from tasks.probes.services.probes import create_probe, delete_probe, update_probe
from tests.tasks.probes.conftest import FIELDS, bring, result, speaker


def test_result_is_stored_with_all_it_says(agent, probe):
    facts = {"phases": {"dns": 0.001}, "details": {"status": 200}, "late_seconds": 0.5}
    assert bring(agent, result(probe, "degraded", reason="slow", **facts)) == []
    (stored,) = results_of(probe.pk)
    found = shown(stored)
    assert (found["outcome"], found["success"], found["reason"]) == ("degraded", True, "slow")
    assert (found["phases"], found["details"]) == ({"dns": 0.001}, {"status": 200})
    assert (found["duration_seconds"], found["late_seconds"]) == (0.012, 0.5)


def test_repeated_and_reordered_batches_are_stored_once(agent, probe):
    first, second, third = (result(probe) for _ in range(3))
    bring(agent, first, third)
    bring(agent, second, third, first)
    bring(agent, third, second, first)
    assert Stored.objects.count() == 3


def test_same_numbers_of_another_stream_or_agent_are_other_results(agent, new_agent, probe):
    for host, stream in ((agent, "a"), (agent, "b"), (new_agent("other"), "a")):
        bring(host, result(probe, seq=7, stream=stream))
    assert Stored.objects.count() == 3


def test_result_twice_in_one_group_commit_is_stored_once(agent, probe):
    one = result(probe)
    store_batch([Submission(speaker(agent), [one]), Submission(speaker(agent), [one])])
    assert Stored.objects.count() == 1


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"tenant_id": "other"}, "wrong_tenant"),
        ({"started_at": 1.0}, "too_old"),
        ({"started_at": time.time() - 40 * 86_400}, "too_old"),
        ({"started_at": 1e300}, "in_the_future"),
        ({"outcome": None}, "no_outcome"),
    ],
)
def test_wrong_result_is_refused_and_the_others_stored(agent, probe, facts, code):
    assert bring(agent, result(probe), result(probe, **facts), result(probe)) == [code]
    assert Stored.objects.count() == 2


def test_probe_of_another_tenant_is_refused(agent, stranger_principal):
    foreign = create_probe(principal=stranger_principal, fields=FIELDS)
    assert bring(agent, result(foreign, tenant_id="default")) == ["probe_not_assigned"]


def test_probe_of_other_agents_is_refused(agent, new_agent, new_probe):
    chosen = new_probe(agents=[new_agent("other").pk])
    assert bring(agent, result(chosen)) == ["probe_not_assigned"]


def test_deleted_probe_is_refused(agent, probe, principal):
    late = result(probe)
    delete_probe(probe, by=principal)
    assert bring(agent, late) == ["probe_not_assigned"]


def test_paused_probe_is_refused(agent, probe, principal):
    update_probe(probe, by=principal, fields={"enabled": False})
    assert bring(agent, result(probe)) == ["probe_not_assigned"]


@pytest.mark.parametrize(("success", "outcome"), [(True, "up"), (False, "down")])
def test_simple_reporter_says_success_only(agent, probe, success, outcome):
    plain = ProbeResult(
        task_id=probe.pk, tenant_id="default", seq=1, success=success, started_at=time.time()
    )
    assert bring(agent, plain) == []
    assert shown(results_of(probe.pk)[0])["outcome"] == outcome


def test_hostile_texts_and_numbers_are_cut_to_what_can_be_stored(agent, probe):
    hostile = result(
        probe,
        "down",
        error="\x00" * 5_000,
        phases={f"p{n}": 1e308 for n in range(99)} | {"\x00": -1.0},
        details={"x": "\x00" * 9_000},
        count=2**62,
        version=2**62,
        duration_seconds=1e9,
    )
    assert bring(agent, hostile) == []
    found = shown(results_of(probe.pk)[0])
    assert (len(found["error"]), found["phases"]) == (1_000, {})
    assert found["details"] == {"truncated": True}


def test_missed_span_keeps_its_count_and_end(agent, probe):
    start = time.time() - 600
    bring(agent, result(probe, "missed", count=9, started_at=start, ended_at=start + 540))
    found = shown(results_of(probe.pk)[0])
    assert found["count"] == 9
    assert (found["ended_at"] - found["started_at"]).total_seconds() == pytest.approx(540)


def test_result_without_a_time_is_from_now(agent, probe):
    bring(agent, result(probe, started_at=0.0))
    (found,) = results_of(probe.pk)
    at = datetime.fromisoformat(str(shown(found)["started_at"])).timestamp()
    assert abs(at - time.time()) < 60
