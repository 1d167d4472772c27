"""The blocking driver: one run, start to finish, in the thread that calls it."""

from __future__ import annotations

import queue
import select
import time
from typing import Any

from agent_client.probes.failures import crash, finding_of
from agent_client.probes.kind import Finding, Kind, Resolve, Run, Sleep, Steps, WaitSocket, Want
from agent_client.probes.resolver import Answer, Resolver

_EVENTS = {"read": select.POLLIN, "write": select.POLLOUT}


def run_blocking(kind: Kind, run: Run, resolver: Resolver) -> Finding:
    """Run a probe of any kind to its end; never raises.

    Socket kinds end at the deadline at the latest. Other kinds keep it themselves.
    """
    try:
        if kind.call is not None:
            return kind.call(run)
        assert kind.steps is not None  # noqa: S101 (the registry holds one of the two)
        return _drive(kind.steps(run), run, resolver)
    except TimeoutError as error:
        return finding_of(error, "")
    except Exception as error:  # noqa: BLE001 (a kind's mistake must not end the pool's thread)
        return crash(error)


def _drive(steps: Steps, run: Run, resolver: Resolver) -> Finding:
    """Fulfil what the steps want until they return."""
    answer: Any = None
    failure: BaseException | None = None
    late = False
    try:
        while True:
            want = steps.throw(failure) if failure is not None else steps.send(answer)
            if late:
                # It was told that its time is over and wants more: end it here.
                steps.close()
                return finding_of(TimeoutError(), "")
            answer, failure = _fulfil(want, run, resolver)
            late = run.clock() >= run.deadline
            if late:
                failure = TimeoutError("the deadline has passed")
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _fulfil(want: Want, run: Run, resolver: Resolver) -> tuple[Any, BaseException | None]:
    """Return what to send into the steps, or what to raise in them."""
    if isinstance(want, WaitSocket):
        return None, _wait(want, run)
    if isinstance(want, Sleep):
        time.sleep(max(0.0, min(want.seconds, run.deadline - run.clock())))
        return None, None
    return _resolve(want, run, resolver)


def _wait(want: WaitSocket, run: Run) -> BaseException | None:
    until = run.deadline if want.until is None else min(run.deadline, want.until)
    # poll, not select: descriptors above 1023 are normal in a busy agent.
    poll = select.poll()
    poll.register(want.sock, _EVENTS[want.event])
    if poll.poll(max(0.0, (until - run.clock()) * 1_000)):
        return None
    return TimeoutError("the socket was not ready in time")


def _resolve(want: Resolve, run: Run, resolver: Resolver) -> tuple[Any, BaseException | None]:
    try:
        if (known := resolver.numeric(want)) is not None:
            return known, None
    except Exception as error:  # noqa: BLE001 (belongs to the probe that asked)
        return None, error
    # The queue outlives this run when the look-up hangs: the answer then goes nowhere.
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    resolver.resolve(want, answers.put)
    try:
        answer = answers.get(timeout=max(0.0, run.deadline - run.clock()))
    except queue.Empty:
        return None, TimeoutError("the name was not resolved in time")
    return (None, answer) if isinstance(answer, BaseException) else (answer, None)
