"""Resolver, target policy and the selector loop: what they promise whatever a kind does."""

from __future__ import annotations

import queue
import socket
import threading
import time
from typing import Any

import pytest

from agent_client.probes.blocking import run_blocking
from agent_client.probes.failures import finding_of
from agent_client.probes.kind import (
    Address,
    Finding,
    Kind,
    Resolve,
    Run,
    Sleep,
    Steps,
    TargetDenied,
    WaitSocket,
)
from agent_client.probes.registry import prepare
from agent_client.probes.resolver import THREADS, Resolver
from agent_client.probes.selector_loop import SelectorLoop
from agent_client.probes.targets import TargetPolicy
from tests.agent_client.probes.conftest import Serve, hang, run_once, task

HERE: Address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))


def drive(loop: SelectorLoop, resolver: Resolver, driver: str, steps: Any) -> Finding:
    run = Run("x", None, time.monotonic() + 0.3, time.monotonic)
    return run_once(loop, resolver, driver, (Kind("x", Run, steps=steps), run))


def mistaken(_: Run) -> Steps:
    yield Sleep(0.001)
    raise ValueError("boom")


def stubborn(_: Run) -> Steps:
    """Wait for ever, whatever it is told."""
    left, right = socket.socketpair()
    with left, right:
        while True:
            try:
                yield WaitSocket(left, "read")
            except TimeoutError:
                continue


def early(_: Run) -> Steps:
    left, right = socket.socketpair()
    with left, right:
        try:
            yield WaitSocket(left, "read", time.monotonic() + 0.02)
        except TimeoutError:
            yield Sleep(0.01)
            return Finding("up")
    return Finding("down")


@pytest.mark.parametrize("driver", ["blocking", "loop"])
@pytest.mark.parametrize(
    ("steps", "outcome", "reason"),
    [(mistaken, "error", "crash"), (stubborn, "down", "timeout"), (early, "up", "")],
)
def test_run_ends_as_promised(
    loop: SelectorLoop, resolver: Resolver, driver: str, steps: Any, outcome: str, reason: str
) -> None:
    found = drive(loop, resolver, driver, steps)
    assert (found.outcome, found.reason) == (outcome, reason)


def test_loop_refuses_when_it_is_full(serve: Serve, resolver: Resolver) -> None:
    small = SelectorLoop(resolver, max_in_flight=2)
    small.start()
    answers: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    target = f"http://127.0.0.1:{serve(hang)}/"
    prepared = [prepare(task("http", target, {}, 30)) for _ in range(3)]
    assert [small.submit(*one, answers.put) for one in prepared] == [True, True, False]
    small.stop()
    assert [answers.get(timeout=5).reason for _ in range(2)] == ["stopped"] * 2
    assert small.in_flight() == 0


def test_healthy_runs_end_while_a_thousand_hang(
    loop: SelectorLoop, resolver: Resolver, serve: Serve
) -> None:
    silent = socket.create_server(("127.0.0.1", 0), backlog=4_096)
    hanging: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    with silent:
        for _ in range(1_000):
            kind, run = prepare(task("ssh", f"127.0.0.1:{silent.getsockname()[1]}", {}, 1.5))
            assert loop.submit(kind, run, hanging.put)
        port = serve(lambda connection: connection.sendall(b"SSH-2.0-x\r\n"))
        found = run_once(loop, resolver, "loop", prepare(task("ssh", f"127.0.0.1:{port}", {}, 1.0)))
        assert found.outcome == "up"
        assert {hanging.get(timeout=20).reason for _ in range(1_000)} == {"timeout"}


def test_names_asked_at_one_time_are_looked_up_once() -> None:
    gate, calls = threading.Event(), []

    def lookup(host: str, *_: int) -> list[Address]:
        calls.append(host)
        gate.wait(10)
        return [HERE]

    resolver = Resolver(lookup=lookup)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for port in (1, 2, 3):
        resolver.resolve(Resolve("a.test", port), answers.put)
    gate.set()
    assert [answers.get(timeout=5)[0][4] for _ in range(3)] == [("127.0.0.1", n) for n in (1, 2, 3)]
    assert calls == ["a.test"]
    resolver.close()


def test_other_names_are_found_while_look_ups_hang() -> None:
    gate, now, stuck = threading.Event(), [0.0], threading.Semaphore(0)

    def lookup(host: str, *_: int) -> list[Address]:
        if host.startswith("dead"):
            stuck.release()
            gate.wait(20)
        return [HERE]

    resolver = Resolver(lookup=lookup, clock=lambda: now[0])
    for number in range(THREADS):
        resolver.resolve(Resolve(f"dead{number}.test", 1), lambda _: None)
    assert all(stuck.acquire(timeout=5) for _ in range(THREADS))
    now[0] = 60.0
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    resolver.resolve(Resolve("alive.test", 1), answers.put)
    assert answers.get(timeout=5)
    gate.set()
    resolver.close()


@pytest.mark.parametrize("driver", ["blocking", "loop"])
def test_down_when_the_name_is_never_resolved(driver: str) -> None:
    gate = threading.Event()
    resolver = Resolver(lookup=lambda *_: [HERE] if gate.wait(20) else [])
    loop = SelectorLoop(resolver)
    loop.start()
    prepared = prepare(task("http", "http://dead.test/", {}, 0.2))
    found = run_once(loop, resolver, driver, prepared)
    assert (found.outcome, found.reason, found.phase) == ("down", "timeout", "dns")
    gate.set()
    loop.stop()


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.0.1", "2002:a9fe:1::"]
)
def test_address_is_denied_also_in_disguise(address: str) -> None:
    entry: Address = (0, 0, 0, "", (address, 1))
    with pytest.raises(TargetDenied):
        TargetPolicy().permitted("rebinding.test", [entry])


def test_address_is_permitted_when_the_host_allows_it() -> None:
    entry: Address = (0, 0, 0, "", ("169.254.169.254", 1))
    policy = TargetPolicy(allow=["169.254.169.254"])
    assert policy.permitted("x", [entry]) == [entry]
    assert TargetPolicy().permitted("localhost", [HERE]) == [HERE]


def test_metadata_name_is_denied_before_it_is_looked_up(resolver: Resolver) -> None:
    prepared = prepare(task("http", "http://Metadata.google.internal./", {}, 1))
    assert run_blocking(*prepared, resolver).reason == "denied"


def test_refused_connection_is_told_in_words() -> None:
    finding = finding_of(ConnectionRefusedError(111, "Connection refused"), "connect")
    assert finding.error == "Connection refused"
