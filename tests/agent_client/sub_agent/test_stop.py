"""When asking becomes killing."""

from __future__ import annotations

from agent_client.sub_agent.stop import SLOW_SWEEP_SECONDS, UNKILLABLE_SECONDS, Stop


def test_stop_is_due_when_the_grace_is_over():
    stop = Stop(reason="user_cancel", kill_at=10.0)
    assert not stop.is_due(9.9)
    assert stop.is_due(10.0)


def test_hurry_only_brings_the_kill_forward():
    stop = Stop(reason="user_cancel", kill_at=10.0)
    stop.hurry(20.0)
    assert stop.kill_at == 10.0
    stop.hurry(5.0)
    assert stop.kill_at == 5.0


def test_rounds_keep_their_pace_when_a_stop_is_repeated():
    stop = Stop(reason="user_cancel", kill_at=0.0)
    stop.killed(0.0)
    stop.hurry(0.0)
    assert stop.kill_at > 0.0


def test_unkillable_is_said_once_when_killing_fails_for_long():
    stop = Stop(reason="user_cancel", kill_at=0.0)
    answers = [stop.killed(now) for now in (0.0, UNKILLABLE_SECONDS - 1, UNKILLABLE_SECONDS, 99.0)]
    assert answers == [False, False, True, False]
    assert stop.kill_at == 99.0 + SLOW_SWEEP_SECONDS
