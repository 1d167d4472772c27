"""Results of probes into the store, over HTTP as agents send them, and what reading costs."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import requests

from bench.figures import Row, percentile
from bench.idle import cpu_seconds, tree_of
from tests.e2e.stack import Stack, wait_for

PROBES = 1_000
RESULTS_PER_REQUEST = 1_000
SENDERS = 4
READS = 20


def results_into_the_store(stack: Stack, n: int = 400_000) -> list[Row]:
    """Send n results of one agent on several connections; then read a probe's page of them."""
    assert stack.server is not None
    token, agent_id = _register(stack)
    probes = [_make_probe(stack, agent_id, number) for number in range(PROBES)]
    bodies = [_body(probes, first) for first in range(0, n, RESULTS_PER_REQUEST)]
    server = tree_of(stack.server.pid)
    spent = -cpu_seconds(server)
    began = time.perf_counter()
    _send_all(stack, token, bodies)
    elapsed = time.perf_counter() - began
    spent += cpu_seconds(server)
    wait_for(lambda: _is_rolled_up(stack, probes[0], n // PROBES), seconds=300, each=0.5)
    return [
        Row(
            "probe results into the store",
            "1/s",
            n / elapsed,
            n=n,
            floor=20_000,
            goal=30_000,
            more_is_better=True,
            note=f"HTTP, {SENDERS} connections, {RESULTS_PER_REQUEST} a request",
        ),
        Row("  CPU of the server for 1,000", "ms", spent * 1e6 / n),
        _reading(stack, "summary of a day", f"/api/v1/probes/{probes[0]}/summary/?window=24h"),
        _reading(stack, "newest 500 results", f"/api/v1/probes/{probes[0]}/results/"),
    ]


def _register(stack: Stack) -> tuple[str, str]:
    """Enrol a host that only sends results; return its token and its id."""
    enrolment = stack.manage("enroll")
    token = next(word for word in enrolment.split() if word.startswith("dpe_"))
    body = {"enroll_token": token, "name": "bench-results", "instance_id": f"i-{time.time_ns()}"}
    answer = requests.post(f"{stack.url}/api/v1/agents/register/", json=body, timeout=10)
    answer.raise_for_status()
    return answer.json()["agent_token"], answer.json()["agent_id"]


def _make_probe(stack: Stack, agent_id: str, number: int) -> int:
    """Make a probe that this host alone runs; return its id."""
    fields = {
        "name": f"bench {number}",
        "kind": "tcp",
        "target": "127.0.0.1:9",
        "interval": 60,
        "agents": [agent_id],
    }
    answer = stack.post("/api/v1/probes/", fields)
    if answer.status_code != 201:
        raise RuntimeError(f"probe: HTTP {answer.status_code} {answer.text[:300]}")
    return int(answer.json()["id"])


def _body(probes: list[int], first: int) -> bytes:
    """Return one request's results, with what an http probe says of itself."""
    now = time.time()
    results: list[dict[str, Any]] = [
        {
            "task_id": probes[seq % len(probes)],
            "tenant_id": "default",
            "seq": seq + 1,
            "stream": "bench",
            "outcome": "down" if seq % 50 == 0 else "up",
            "started_at": now - 600 + seq / 1_000,
            "duration_seconds": 0.012 + seq % 97 / 1e4,
            "phases": {"dns": 0.001, "connect": 0.002, "ttfb": 0.009},
            "details": {"status": 200, "address": "127.0.0.1"},
            "version": 1,
        }
        for seq in range(first, first + RESULTS_PER_REQUEST)
    ]
    return json.dumps(results).encode()


def _send_all(stack: Stack, token: str, bodies: list[bytes]) -> None:
    """Send every body on one of SENDERS connections; raises when one was not confirmed."""
    errors: list[str] = []

    def send(mine: list[bytes]) -> None:
        session = requests.Session()
        head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for body in mine:
            answer = session.post(f"{stack.url}/api/v1/results", body, headers=head, timeout=60)
            if answer.status_code != 200 or answer.json()["rejected"]:
                errors.append(answer.text[:300])
                return

    threads = [
        threading.Thread(target=send, args=(bodies[one::SENDERS],)) for one in range(SENDERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(errors[0])


def _is_rolled_up(stack: Stack, probe_id: int, count: int) -> bool:
    """Return whether the summary knows all results of a probe."""
    found = stack.get(f"/api/v1/probes/{probe_id}/summary/?window=24h").json()
    return bool(found["up"] + found["down"] >= count)


def _reading(stack: Stack, name: str, path: str) -> Row:
    """Return how long a read takes over HTTP."""
    times = []
    for _ in range(READS):
        began = time.perf_counter()
        stack.get(path).raise_for_status()
        times.append((time.perf_counter() - began) * 1_000)
    return Row(f"  {name}", "ms", percentile(times, 0.5), percentile(times, 0.95), READS, floor=300)
