"""The network between agent and server is cut, stalls one way, loses, delays and limps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.lab import SLOTS, Lab, repeat, running_lab
from tests.faults.proxy import Proxy
from tests.faults.trials import trials

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("network faults")]

ROW = "network: cut, half-open, one-way, 20 % loss, delay"
WEATHER: dict[str, dict[str, object]] = {
    "cut": {"refuse": True},
    "half-open": {"stall_up": True, "stall_down": True},
    "agent to server stalls": {"stall_up": True},
    "server to agent stalls": {"stall_down": True},
    "one piece in five resets": {"reset_share": 0.2},
    "delay and jitter": {"delay_seconds": 0.1, "jitter_seconds": 0.3},
    "limping": {"bytes_per_second": 20_000},
    "cut in the middle": {"cut_after_bytes": 3_000},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One installation for all weathers: each verdict is about all tasks so far."""
    with running_lab(tmp_path_factory.mktemp("network"), agents=()) as found:
        yield found


@pytest.fixture(scope="module")
def proxy(lab: Lab) -> Iterator[Proxy]:
    """A proxy through which one agent speaks to the server; silence is noticed soon."""
    found = Proxy(lab.stack.port, seed=lab.chance.randrange(10**6))
    lab.stack.start_agent(
        "far",
        server=found.url,
        AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS,
        AGENT_CONNECTION_WS_BACKOFF_INITIAL_MS="100",
        AGENT_CONNECTION_WS_BACKOFF_MAX_MS="500",
    )
    yield found
    found.close()


def bad_weather(lab: Lab, proxy: Proxy, name: str, *, longest: float) -> None:
    """Let the network misbehave for a while, then heal it; what hangs hangs on."""
    proxy.set(**WEATHER[name])
    if name == "cut":
        proxy.reset_all()
    lab.pause(longest)
    proxy.set()


@pytest.mark.parametrize("name", WEATHER)
def test_tasks_survive_the_weather(lab: Lab, proxy: Proxy, name: str) -> None:
    count = trials(ROW, short=1, long=40)
    assert repeat(lab, count, lambda: bad_weather(lab, proxy, name, longest=2)) == []
    assert proxy.connections > 0


def test_replayed_and_doubled_messages_have_the_effect_of_one(lab: Lab, proxy: Proxy) -> None:
    """Whatever was not confirmed when the line broke is sent again on the next one."""
    count = trials(ROW, short=2, long=60)

    def break_the_answers() -> None:
        # The server gets and stores everything; no confirmation gets back.
        proxy.set(stall_down=True)
        lab.pause(1)
        proxy.reset_all()
        proxy.set()

    assert repeat(lab, count, break_the_answers) == []
