"""Every row of the published table of settings: by file, by environment, and what it does.

A test that shows what a setting does is marked with `shows`, and a setting that no test
shows fails the suite: a value that is read and then ignored is worse than a refused one.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_client.adaptive import Limits
from agent_client.config import SETTINGS, AgentConfig, load_config
from agent_client.logger import setup_logging
from agent_client.probing.dialing import Dialing
from agent_client.protocol import frames
from agent_client.protocol.messages import Hello, LogChunk, Resources, Result
from agent_client.protocol.probes import ProbeResult
from agent_client.registration import register, stored_identity
from agent_client.state import Identity, StateDirectory
from agent_client.throttle import LIMITS_FILE, Throttle
from agent_client.transport.backoff import make_backoff
from agent_client.transport.base import Endpoint
from tests.agent_client.fake_server import (
    AGENT_ID,
    ENROLL_TOKEN,
    TOKEN,
    FakeServer,
    fake_server,
    spec,
)
from tests.agent_client.published_settings import DIFFERENT_ON_PURPOSE, TABLE
from tests.agent_client.test_app import config_for, running_app

KEYS = {item.variable: key for key, item in SETTINGS.items()}
SHOWN: set[str] = set()


def shows(*keys: str) -> Callable[[Any], Any]:
    """Say that a test shows what these settings do."""
    SHOWN.update(keys)
    return lambda test: test


def text_of(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def nested(field: str, value: Any) -> dict[str, Any]:
    """Return the content of a file with one value, as the published sample writes it."""
    plain = str(value) if isinstance(value, Path) else value
    section, _, name = field.rpartition(".")
    return {section: {name: plain}} if section else {name: plain}


@pytest.fixture
def load(tmp_path) -> Callable[..., AgentConfig]:
    def run(environ: dict[str, str] | None = None, **argv: Any) -> AgentConfig:
        found = {key.replace("__", "."): value for key, value in argv.items()}
        return load_config(found, {"HOME": str(tmp_path), **(environ or {})}, tmp_path)

    return run


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as found:
        yield found


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.field)
def test_row_has_the_published_default_when_nothing_is_given(load, row):
    assert load().value(KEYS[row.variable]) == DIFFERENT_ON_PURPOSE.get(row.variable, row.default)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.field)
def test_row_is_taken_when_the_environment_gives_it(load, row):
    config = load({row.variable: text_of(row.other)})
    assert config.value(KEYS[row.variable]) == row.other
    assert config.origins[KEYS[row.variable]] == f"environment {row.variable}"


@pytest.mark.parametrize("suffix", ["yaml", "json"])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.field)
def test_row_is_taken_when_a_file_gives_it_and_gives_way_to_the_environment(
    load, tmp_path, row, suffix
):
    content = nested(row.field, row.other)
    path = tmp_path / f"config.{suffix}"
    path.write_text(yaml.safe_dump(content) if suffix == "yaml" else json.dumps(content))
    path.chmod(0o600)
    named = {"AGENT_CONFIG_FILE": str(path)}
    config = load(named)
    assert config.value(KEYS[row.variable]) == row.other
    assert config.origins[KEYS[row.variable]] == f"file {path}"
    assert config.warnings == ()
    if row.default not in ("", None):
        again = load({**named, row.variable: text_of(row.default)})
        assert again.value(KEYS[row.variable]) == row.default


def test_every_row_is_shown_to_do_something():
    assert {KEYS[row.variable] for row in TABLE} - SHOWN == set()


def test_every_setting_of_the_published_sections_is_a_row_or_ours():
    ours = {"log_format", "log_compress"}
    ours |= {"ca_file", "server_fingerprint", "allow_plain_http", "transport"}
    published = {KEYS[row.variable] for row in TABLE}
    sections = {key.partition(".")[0] for key in published}
    known = {key for key in SETTINGS if key.partition(".")[0] in sections and "." in key}
    assert {key.rpartition(".")[2] for key in known - published} == ours


# --- the connection ----------------------------------------------------------------


@shows(
    "connection.agent_server_url",
    "connection.agent_server_backup_url",
    "connection.ws_max_retries",
)
def test_backup_has_its_turn_when_the_configured_tries_failed(load):
    backoff = make_backoff(
        load(
            connection__agent_server_url="wss://a",
            connection__agent_server_backup_url="wss://b",
            connection__ws_max_retries=2,
        )
    )
    seen = [backoff.address]
    for _ in range(3):
        backoff.failed()
        seen.append(backoff.address)
    assert seen == ["https://a", "https://a", "https://b", "https://b"]


@shows("connection.ws_backoff_initial_ms", "connection.ws_backoff_max_ms")
def test_pauses_grow_between_the_configured_bounds(load):
    backoff = make_backoff(
        load(connection__ws_backoff_initial_ms=100, connection__ws_backoff_max_ms=300)
    )
    pauses = [backoff.failed() for _ in range(6)]
    assert 0.05 <= pauses[0] <= 0.1
    assert all(0.15 <= pause <= 0.3 for pause in pauses[2:])


@shows("connection.ws_outbox_max_size")
def test_oldest_results_become_counted_gaps_when_the_outbox_is_full(load, tmp_path):
    config = load(connection__ws_outbox_max_size=10, state_dir=str(tmp_path))

    def nowhere(url: str) -> Endpoint:
        return Endpoint("http://127.0.0.1:9", AGENT_ID, TOKEN)

    dialing = Dialing(config, agent_id=AGENT_ID, endpoint=nowhere, make_backoff=make_backoff)
    dialing.start()
    try:
        assert dialing._parts is not None
        outbox = dialing._parts.outbox
        for number in range(6000):
            dialing._parts.writer.put(
                ProbeResult(task_id=1, tenant_id="1", seq=0, outcome="up", started_at=float(number))
            )
            if number % 500 == 499:
                wait_until(lambda total=number + 1: outbox.waiting + outbox.dropped >= total)
        assert outbox.waiting <= 10 * 500 + 10  # the gap records wait as well
        assert outbox.dropped >= 1000
    finally:
        dialing.stop()


def wait_until(holds: Callable[[], bool], timeout_seconds: float = 10.0) -> None:
    """Wait in a thread's world, where there is no event to wait for."""
    ticking = threading.Event()
    for _ in range(int(timeout_seconds / 0.01)):
        if holds():
            return
        ticking.wait(0.01)
    raise AssertionError("it did not come to hold")


# --- who this host is ---------------------------------------------------------------


@shows("identification.agent_name")
async def test_host_registers_with_the_configured_name(load, server, tmp_path):
    config = load(
        identification__agent_name="my-agent",
        enroll_token=ENROLL_TOKEN,
        connection__agent_server_url=server.url,
    )
    state = StateDirectory(tmp_path)
    await register(config, state=state, backoff=make_backoff(config), system={})
    assert server.registrations[0]["name"] == "my-agent"


@shows("identification.agent_token")
def test_configured_token_replaces_the_stored_one(load, tmp_path):
    state = StateDirectory(tmp_path)
    state.save_identity(Identity(instance_id="i", agent_id=AGENT_ID, agent_token="dpa_old"))
    found = stored_identity(load(identification__agent_token="dpa_new"), state)
    assert found is not None
    assert found.agent_token == "dpa_new"


# --- tasks ----------------------------------------------------------------------------

TRICKLE = "for i in $(seq 1 60); do echo line $i; sleep 0.004; done"


async def chunks_of(server: FakeServer, tmp_path: Path, script: str, **changes: Any):
    """Run a script in a whole agent; return the pieces of output in each message."""
    config = config_for(
        server, tmp_path, **{key.replace("__", "."): value for key, value in changes.items()}
    )
    async with running_app(config) as app:
        await app.link.wait_ready()
        await server.offer(spec(1, script))
        await server.until(lambda: server.brain.of(Result))
    return [len(list(frames.decode(chunk.frames))) for chunk in server.brain.of(LogChunk)]


@shows("logging.log_batch_size")
async def test_message_carries_no_more_pieces_than_configured(server, tmp_path):
    found = await chunks_of(server, tmp_path, TRICKLE, logging__log_batch_size=2)
    assert max(found) == 2
    assert sum(found) > 10


@shows("logging.log_flush_interval")
@pytest.mark.parametrize(("interval", "fewest", "most"), [(0, 25, 200), (60_000, 2, 12)])
async def test_output_waits_for_more_no_longer_than_configured(
    server, tmp_path, interval, fewest, most
):
    found = await chunks_of(server, tmp_path, TRICKLE, logging__log_flush_interval=interval)
    assert fewest <= len(found) <= most
    assert server.brain.logs[1].count(b"\n") == 60


@shows("task.heartbeat_interval", "task.max_concurrent_tasks", "task.max_execution_time_sec")
async def test_tasks_are_held_to_the_configured_numbers(server, tmp_path):
    changes = {
        "task.heartbeat_interval": 7,
        "task.max_concurrent_tasks": 3,
        "task.max_execution_time_sec": 0.3,
    }
    async with running_app(config_for(server, tmp_path, **changes)) as app:
        assert app.heart.interval_seconds == 7
        await app.link.wait_ready()
        assert server.brain.of(Hello)[0].capacity.slots == 3
        await server.offer(spec(1, "sleep 60"))
        await server.until(lambda: server.brain.of(Result))
    assert server.brain.of(Result)[0].reason == "timeout"


@shows("thread_pool.max_workers", "thread_pool.task_timeout", "thread_pool.queue_size_limit")
def test_dial_tests_are_held_to_the_configured_numbers(load, tmp_path):
    config = load(
        thread_pool__max_workers=3,
        thread_pool__task_timeout=20,
        thread_pool__queue_size_limit=7,
        state_dir=str(tmp_path),
    )
    dialing = Dialing(
        config,
        agent_id=AGENT_ID,
        endpoint=lambda url: Endpoint("http://127.0.0.1:9", AGENT_ID, TOKEN),
        make_backoff=make_backoff,
    )
    dialing.start()
    try:
        assert dialing._parts is not None
        limits = dialing._parts.scheduler._limits  # its work is tested with the scheduler
        assert dialing.thread_pool().max_workers == 3
        assert (limits.task_timeout, limits.queue_size_limit) == (20, 7)
    finally:
        dialing.stop()


# --- the agent's own log ----------------------------------------------------------------


def written(config: AgentConfig, lines: int, tmp_path: Path, clock: Any = None) -> list[Path]:
    """Write lines of 1 KB and return the files of the directory, by name."""
    more = {"clock": clock} if clock else {}
    log = setup_logging(config.logging, state_dir=tmp_path / "s", console=io.StringIO(), **more)
    logger = logging.getLogger("agent_client.published")
    for _ in range(lines):
        logger.info("x" * 1000)
    logger.error("an error")
    log.close()
    return sorted(path for path in config.logging.directory.iterdir() if ".log" in path.name[1:])


@shows("logging.log_dir", "logging.log_name", "logging.log_rotation")
def test_log_is_where_it_is_configured(load, tmp_path):
    config = load(
        logging__log_dir=str(tmp_path / "d"), logging__log_name="n", logging__log_rotation=False
    )
    assert tmp_path / "d" / "n.log" in written(config, 1, tmp_path)


@shows("logging.log_path")
def test_log_path_wins_over_log_dir(load, tmp_path):
    config = load(logging__log_dir=str(tmp_path / "d"), logging__log_path=str(tmp_path / "p"))
    assert any(path.parent == tmp_path / "p" for path in written(config, 1, tmp_path))
    assert not (tmp_path / "d").exists()


@shows("logging.log_mode")
def test_lines_below_the_configured_level_are_left_out(load, tmp_path):
    config = load(logging__log_dir=str(tmp_path / "d"), logging__log_mode="ERROR")
    text = "".join(path.read_text() for path in written(config, 3, tmp_path) if path.stat().st_size)
    assert "an error" in text
    assert "xxx" not in text


@shows("logging.log_max_size", "logging.log_max_files")
def test_log_is_set_aside_and_removed_at_the_configured_numbers(load, tmp_path):
    config = load(
        logging__log_dir=str(tmp_path / "d"), logging__log_max_size=0.01, logging__log_max_files=2
    )
    files = written(config, 200, tmp_path)
    current = [path for path in files if path.name.count(".") == 4]
    older = [path for path in files if path.name.endswith(".gz")]
    assert all(path.stat().st_size <= 0.01 * 1024 * 1024 for path in current)
    assert 1 <= len(older) <= 3  # one more may wait for the tidying that close() ended


@shows("logging.log_max_age")
def test_files_beyond_the_configured_age_are_removed(load, tmp_path):
    directory = tmp_path / "d"
    directory.mkdir()
    for days in (1, 3):
        old = directory / f"agent.2020.01.0{days}.log"
        old.write_text("old")
        moment = 1_760_000_000 - days * 86_400
        os.utime(old, (moment, moment))
    config = load(logging__log_dir=str(directory), logging__log_max_age=2)
    files = written(config, 1, tmp_path, clock=lambda: 1_760_000_000.0)
    assert [path.name for path in files if "2020" in path.name] == ["agent.2020.01.01.log.gz"]


# --- limits that follow the load ------------------------------------------------------------


def throttle_of(config: AgentConfig, tmp_path: Path, **sample: float) -> Throttle:
    """Return the throttle of a host of four cores with one load; its clock is a list's end."""
    now = iter(range(0, 10**6, 10))
    return Throttle(
        config.resource_adaptive,
        slots=10,
        bandwidth_mb=config.resource_limit.bandwidth_limit,
        cpu_cores=4,
        state_dir=tmp_path,
        sample=lambda: Resources(**sample),
        on_change=lambda limits: None,
        clock=lambda: float(next(now)),
    )


def factor_after(config: AgentConfig, tmp_path: Path, *, samples: int = 1, **sample: float):
    throttle = throttle_of(config, tmp_path, **sample)
    for _ in range(samples):
        throttle.observe()
    return throttle.limits.factor


@shows("resource_adaptive.cpu_high", "resource_adaptive.load_high_factor")
@pytest.mark.parametrize(
    ("key", "value", "factor"),
    [
        ("cpu_high", 79, 0.9),
        ("cpu_high", 81, 1),
        ("load_high_factor", 1.9, 0.9),
        ("load_high_factor", 2.1, 1),
    ],
)
def test_limits_step_down_at_the_configured_mark(load, tmp_path, key, value, factor):
    other = {"cpu_high": "load_high_factor", "load_high_factor": "cpu_high"}[key]
    quiet = {"load_high_factor": 50, "cpu_high": 100}[other]
    config = load(**{f"resource_adaptive__{key}": value, f"resource_adaptive__{other}": quiet})
    assert factor_after(config, tmp_path, cpu_usage=80, load_1m=8) == factor


@shows("resource_adaptive.cpu_low", "resource_adaptive.load_low_factor")
@pytest.mark.parametrize(
    ("changes", "factor"),
    [({}, 0.9), ({"cpu_low": 41}, 1.0), ({"cpu_low": 41, "load_low_factor": 0.4}, 0.9)],
)
def test_limits_step_up_below_both_configured_marks(load, tmp_path, changes, factor):
    marks = {"cpu_low": 39, "load_low_factor": 0.6, **changes, "cooldown_sec": 0}
    config = load(**{f"resource_adaptive__{key}": value for key, value in marks.items()})
    throttle = throttle_of(config, tmp_path, cpu_usage=40, load_1m=2)
    throttle._controller.observe(now=-100.0, cpu_percent=99, load_1m=0)
    throttle.observe()
    assert throttle._controller.factor == factor


@shows("resource_adaptive.step", "resource_adaptive.min_factor")
def test_step_and_least_factor_are_as_configured(load, tmp_path):
    config = load(
        resource_adaptive__step=0.25,
        resource_adaptive__min_factor=0.4,
        resource_adaptive__cooldown_sec=0,
    )
    assert factor_after(config, tmp_path, cpu_usage=99) == 0.75
    assert factor_after(config, tmp_path, cpu_usage=99, samples=9) == 0.4


@shows("resource_adaptive.cooldown_sec")
@pytest.mark.parametrize(("cooldown", "factor"), [(5, 0.7), (15, 0.8), (1000, 0.9)])
def test_steps_are_as_far_apart_as_configured(load, tmp_path, cooldown, factor):
    config = load(resource_adaptive__cooldown_sec=cooldown)  # the clock goes on by 10 s
    assert factor_after(config, tmp_path, cpu_usage=99, samples=3) == factor


@shows("resource_limit.bandwidth_limit", "resource_adaptive.min_bandwidth_mb")
def test_bandwidth_begins_as_configured_and_keeps_its_least(load, tmp_path):
    config = load(
        resource_limit__bandwidth_limit=20,
        resource_adaptive__min_bandwidth_mb=15,
        resource_adaptive__cooldown_sec=0,
    )
    throttle = throttle_of(config, tmp_path, cpu_usage=99)
    assert throttle.limits.bandwidth_mb == 20
    for _ in range(9):
        throttle.observe()
    assert throttle.limits.bandwidth_mb == 15
    assert json.loads((tmp_path / LIMITS_FILE).read_bytes())["bandwidth_mb"] == 15


@shows("resource_adaptive.enabled", "resource_adaptive.sample_interval_sec")
@pytest.mark.parametrize("enabled", [True, False])
async def test_load_is_sampled_in_the_configured_pace_when_enabled(load, tmp_path, enabled):
    config = load(
        resource_adaptive__enabled=enabled,
        resource_adaptive__sample_interval_sec=0.1,
        resource_adaptive__cooldown_sec=0,
    )
    throttle = throttle_of(config, tmp_path, cpu_usage=99)
    running = asyncio.ensure_future(throttle.run())
    await asyncio.wait([running], timeout=0.45)
    running.cancel()
    steps = round((1 - throttle.limits.factor) * 10)
    assert steps in ((2, 3, 4) if enabled else (0,))
    assert isinstance(throttle.limits, Limits)
