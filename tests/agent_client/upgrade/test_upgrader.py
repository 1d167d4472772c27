"""The change of versions: what is fetched, what is refused, what is told, what is not repeated."""

from __future__ import annotations

import asyncio
import hashlib
import http.server
import threading
from collections.abc import Iterator

import msgspec
import pytest

from agent_client.errors import Rejected
from agent_client.policy import Policy
from agent_client.protocol.releases import WantedRelease
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import ConnectionFailed, Endpoint
from agent_client.upgrade import upgrader as module
from agent_client.upgrade import versions
from agent_client.upgrade.upgrader import Upgrader, fetch

WHEEL = b"wheel"


@pytest.fixture
def served() -> Iterator[tuple[str, list[str]]]:
    """Return the address of a server with one wheel, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']}")
            is_known = self.path == "/agent/dialer_agent-2.0-py3-none-any.whl"
            self.send_response(200 if is_known else 404 if "9.9" in self.path else 503)
            self.send_header("Content-Length", str(len(WHEEL)))
            self.end_headers()
            self.wfile.write(WHEEL)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def wheel_release(**changes) -> WantedRelease:
    """Return the wish for the served wheel."""
    digest = hashlib.sha256(WHEEL).hexdigest()
    wanted = WantedRelease(order=1, version="2.0", sha256=digest, size_bytes=len(WHEEL))
    return msgspec.structs.replace(wanted, **changes)


def test_wheel_is_fetched_with_the_hosts_credential(served):
    server, asked = served
    assert fetch(Endpoint(server, "a-1", "dpa_x"), wheel_release()) == WHEEL
    assert asked == ["/agent/dialer_agent-2.0-py3-none-any.whl Bearer dpa_x"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sha256": "0" * 64}, "upgrade_not_genuine"),
        ({"size_bytes": 4}, "upgrade_not_genuine"),
        ({"size_bytes": 1 << 40}, "upgrade_not_genuine"),
        ({"version": "9.9"}, "upgrade_not_fetched"),
    ],
)
def test_anything_but_the_named_bytes_is_refused(served, changes, code):
    with pytest.raises(Rejected) as caught:
        fetch(Endpoint(served[0], "a-1", "dpa_x"), wheel_release(**changes))
    assert caught.value.code == code


def test_server_in_trouble_is_asked_again(served):
    with pytest.raises(ConnectionFailed):
        fetch(Endpoint(served[0], "a-1", "dpa_x"), wheel_release(version="5.0"))


def quick_backoff() -> Backoff:
    """Return pauses of a millisecond, to an address where nobody answers."""
    return Backoff(
        ("http://127.0.0.1:1",), initial_seconds=0.001, max_seconds=0.002, tries_per_address=2
    )


class Host:
    """An upgrader with what it told: restarts and failures."""

    def __init__(self, installation, policy: Policy = Policy()) -> None:  # noqa: B008
        self.done = asyncio.Event()
        self.restarts = 0
        self.failures = 0
        self.upgrader = Upgrader(
            installation,
            endpoint=lambda server: Endpoint(server, "a-1", "dpa_x"),
            backoff=quick_backoff(),
            policy=lambda: policy,
            on_restart=self._restart,
            on_failure=self._fail,
        )

    def _restart(self) -> None:
        self.restarts += 1
        self.done.set()

    def _fail(self) -> None:
        self.failures += 1
        self.done.set()


async def test_version_that_lies_there_is_tried_without_fetching(old, new, release, monkeypatch):
    monkeypatch.setattr(module, "_check_start", lambda *_args: None)
    host = Host(old)
    host.upgrader.wanted(release)
    await asyncio.wait_for(host.done.wait(), 10)
    assert (host.restarts, host.failures) == (1, 0)
    assert new.is_on_trial()


async def test_version_that_does_not_start_is_not_tried(old, release):
    host = Host(old)
    host.upgrader.wanted(release)
    await asyncio.wait_for(host.done.wait(), 10)
    assert host.failures == 1
    state = host.upgrader.state()
    assert state is not None
    assert (state.failed_order, state.code) == (3, "upgrade_not_built")
    assert not (old.home / "trial").exists()


async def test_failed_order_is_not_repeated_and_the_next_is_taken(old, release):
    old.record(release, code="upgrade_not_built", detail="x")
    host = Host(old)
    host.upgrader.wanted(release)
    await asyncio.sleep(0)
    assert host.upgrader._job is None
    host.upgrader.wanted(msgspec.structs.replace(release, order=4))
    await asyncio.wait_for(host.done.wait(), 10)


@pytest.mark.parametrize(
    "policy", [Policy(upgrades=False), Policy(work=("probes",))], ids=["off", "no scripts"]
)
async def test_owner_has_the_last_word(old, release, policy):
    host = Host(old, policy)
    host.upgrader.wanted(release)
    await asyncio.wait_for(host.done.wait(), 10)
    state = host.upgrader.state()
    assert state is not None
    assert (state.code, state.can_change) == ("policy_denied", False)


async def test_server_that_is_away_ends_in_a_failure(old):
    host = Host(old)
    host.upgrader.wanted(wheel_release())
    await asyncio.wait_for(host.done.wait(), 20)
    state = host.upgrader.state()
    assert state is not None
    assert state.code == "upgrade_not_fetched"


async def test_agent_outside_of_versions_says_and_does_nothing(release):
    host = Host(None)
    host.upgrader.wanted(release)
    host.upgrader.welcomed()
    assert host.upgrader.state() is None
    assert host.upgrader._job is None


async def test_welcome_keeps_the_version_and_removes_old_ones(old, new, release):
    for number in range(3, 8):
        folder = versions.folder_of(old.home, f"{number}.0", f"{number}" * 64)
        folder.mkdir()
        (folder / versions.COMPLETE).write_text(f"{number}" * 64)
    old.open_trial(release)
    host = Host(new)
    host.upgrader.welcomed()
    assert host.upgrader._job is not None
    await host.upgrader._job
    assert not new.is_on_trial()
    assert len(list((old.home / "versions").iterdir())) <= 4


async def test_running_release_and_no_wish_begin_nothing(old, release):
    host = Host(old)
    host.upgrader.wanted(None)
    host.upgrader.wanted(msgspec.structs.replace(release, sha256=old.sha256))
    assert host.upgrader._job is None
