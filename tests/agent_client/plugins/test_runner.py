"""Runners against plug-ins that do everything wrong: each is named, ended and started again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent_client.errors import Rejected
from agent_client.plugins import process, quota, sdk
from agent_client.plugins.program import Program, Programs
from agent_client.plugins.runner import Pace, Runner
from agent_client.protocol.plugins import (
    MetricAbout,
    PluginPackage,
    PluginSample,
    PluginWanted,
)
from tests.agent_client.plugins.processes import processes_with

PACKAGE = PluginPackage(version="2", sha256="0" * 64, signature="", size_bytes=1)
PACE = Pace(
    ready_seconds=10, collect_seconds=1, first_pause_seconds=0.05, longest_pause_seconds=0.2
)
HEAD = f"""
import sys, os, time, json, signal
sys.path.insert(0, {str(Path(sdk.__file__).parent)!r})
import sdk
def say(**message):
    sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
def hear():
    return json.loads(sys.stdin.readline())
def come_up():
    say(type="ready", name="p", version="7"); hear(); say(type="configured"); hear()
"""
GOOD = """
class P(sdk.Plugin):
    name, version = "p", "7"
    def configure(self, config):
        if config.get("bad"):
            raise sdk.ConfigRefused("bad", "must not be")
        self.value = config.get("value", 1)
    def collect(self):
        return {"value": self.value, "pid": os.getpid()}
sdk.run(P())
"""


class Scripts(Programs):
    """Plug-ins that are a piece of Python."""

    def __init__(self, directory: Path, source: str) -> None:
        self.directory = directory
        self.directory.mkdir(exist_ok=True)
        self.file = directory / "plugin.py"
        self.file.write_text(HEAD + source)
        self.prepared = 0
        self.refusal: Rejected | None = None
        self.failures: list[str] = []

    async def prepare(self, wanted: PluginWanted) -> Program:
        self.prepared += 1
        if self.refusal is not None:
            raise self.refusal
        argv = (sys.executable, "-E", "-s", str(self.file))
        return Program(argv, self.directory, self.directory)

    async def failed(self, wanted: PluginWanted, program: Program, detail: str) -> None:
        self.failures.append(detail)


class Run:
    """A runner at work, and what came of it."""

    def __init__(self, programs: Scripts, **wanted: object) -> None:
        self.programs = programs
        self.samples: list[PluginSample] = []
        self.states: list[tuple[str, str]] = []
        self.runner = Runner(
            PluginWanted("p", **{"interval_seconds": 0.1, **wanted}),
            programs=programs,
            on_sample=self.samples.append,
            pace=PACE,
            rng=random.Random(1),
        )

    async def until(self, holds: Callable[[], object], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                state = (self.runner.state.condition, self.runner.state.detail)
                if state not in self.states:
                    self.states.append(state)
                await asyncio.sleep(0.005)

    async def until_failed(self) -> str:
        await self.until(lambda: self.runner.state.restarts >= 1)
        return self.runner.state.detail


@pytest.fixture
async def run(tmp_path) -> AsyncIterator[Callable[..., Run]]:
    tasks = []

    def start(source: str, **wanted: object) -> Run:
        found = Run(Scripts(tmp_path / "p", source), **wanted)
        tasks.append(asyncio.ensure_future(found.runner.run()))
        return found

    yield start
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert not processes_with(tmp_path)


# --- good ones -------------------------------------------------------------------------


async def test_samples_come_in_the_wanted_interval(run):
    found = run(GOOD)
    await found.until(lambda: len(found.samples) >= 4)
    assert found.runner.state.condition == "running"
    assert found.runner.state.version == "7"
    assert found.runner.state.restarts == 0
    gaps = [b.at - a.at for a, b in zip(found.samples, found.samples[1:], strict=False)]
    assert min(gaps) >= 0.09


async def test_description_of_the_metrics_goes_with_the_first_sample_and_once_an_hour(
    run, monkeypatch
):
    about = 'P.metrics = {"value": sdk.counter("runs", "x" * 900)}\nsdk.run(P())'
    found = run(GOOD.replace("sdk.run(P())", about))
    await found.until(lambda: len(found.samples) >= 3)
    said = {"value": MetricAbout(unit="runs", help="x" * 200, kind="counter")}
    assert [one.about for one in found.samples[:3]] == [said, {}, {}]
    monkeypatch.setattr("agent_client.plugins.runner.ABOUT_AGAIN_SECONDS", 0.0)
    found.runner._about_due = 0.0
    await found.until(lambda: found.samples[-1].about == said)


async def test_configuration_changes_without_a_restart(run):
    found = run(GOOD)
    await found.until(lambda: found.samples)
    found.runner.update(PluginWanted("p", interval_seconds=0.1, config={"value": 5}))
    await found.until(lambda: found.samples[-1].metrics["value"] == 5)
    assert len({one.metrics["pid"] for one in found.samples}) == 1
    assert found.programs.prepared == 1


async def test_long_interval_is_cut_short_by_a_shorter_one(run):
    found = run(GOOD, interval_seconds=3600)
    await found.until(lambda: len(found.samples) == 1)
    found.runner.update(PluginWanted("p", interval_seconds=0.1))
    await found.until(lambda: len(found.samples) >= 3)


async def test_refused_configuration_names_its_field_and_is_not_tried_again(run):
    found = run(GOOD, config={"bad": True})
    await found.until(lambda: found.runner.state.condition == "failed")
    assert found.runner.state.detail == "it refuses its configuration: bad: must not be"
    await asyncio.sleep(0.5)
    assert found.programs.prepared == 1
    found.runner.update(PluginWanted("p", interval_seconds=0.1))
    await found.until(lambda: found.runner.state.condition == "running")
    assert found.runner.state.detail == ""
    assert found.runner.state.restarts == 0


async def test_refused_change_is_tried_once_with_a_fresh_process(run):
    found = run(GOOD)
    await found.until(lambda: found.samples)
    found.runner.update(PluginWanted("p", config={"bad": True}))
    await found.until(lambda: found.runner.state.condition == "failed")
    assert found.programs.prepared == 2
    assert "bad: must not be" in found.runner.state.detail


async def test_program_that_the_host_refuses_is_told_as_refused(run, tmp_path):
    found = run(GOOD)
    found.programs.refusal = Rejected("no (plugins.install: false)", code="policy_denied")
    await found.until(lambda: found.runner.state.condition == "refused")
    assert "plugins.install" in found.runner.state.detail


async def test_polite_end_lets_the_plugin_finish(run, tmp_path):
    mark = tmp_path / "stopped"
    found = run(f"""
class P(sdk.Plugin):
    name = "p"
    def collect(self): return {{"a": 1}}
    def stop(self): open({str(mark)!r}, "w").close()
sdk.run(P())
""")
    await found.until(lambda: found.samples)
    found.runner.update(
        PluginWanted("p", package=PACKAGE)  # another program: the old one is ended
    )
    await found.until(mark.exists)


async def test_plugin_sees_nothing_of_the_agents_environment(run, monkeypatch):
    monkeypatch.setenv("AGENT_TOKEN", "dpa_secret")
    found = run("""
class P(sdk.Plugin):
    name = "p"
    def collect(self):
        return sdk.Sample({}, tuple(f"{k}={v}" for k, v in os.environ.items()))
sdk.run(P())
""")
    await found.until(lambda: found.samples)
    names = {line.partition("=")[0] for line in found.samples[0].lines}
    assert names <= {"PATH", "LC_ALL", "PYTHONDONTWRITEBYTECODE"}


async def test_plugin_inherits_no_descriptor_but_its_streams(run):
    found = run("""
class P(sdk.Plugin):
    name = "p"
    def collect(self):
        return sdk.Sample({}, tuple(os.readlink(f"/proc/self/fd/{n}")
            for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")))
sdk.run(P())
""")
    await found.until(lambda: found.samples)
    places = [line for line in found.samples[0].lines if not line.startswith("/proc/")]
    # stdin, stdout and stderr, with the copy that keeps print() out of the messages
    assert all(one.startswith(("pipe:", "socket:")) for one in places)
    assert len(set(places)) == 3


# --- hostile ones ------------------------------------------------------------------------

HOSTILE = {
    "garbage": ('come_up(); print("hello"); sys.stdout.flush(); time.sleep(60)', "no message"),
    "binary": (
        "come_up(); os.write(1, bytes(range(256)) * 10); time.sleep(60)",
        "no message",
    ),
    "endless line": (
        "come_up()\nwhile True: os.write(1, b'x' * 4096)",
        "longer than 65536 bytes",
    ),
    "flood of messages": (
        'come_up()\nwhile True: os.write(1, b\'{"type":"log","text":"x"}\\n\' * 100)',
        "lines in a second",
    ),
    "flood of complaints": (
        "come_up()\nwhile True: os.write(2, b'x' * 65536)",
        "bytes in a second",
    ),
    "unasked samples": (
        'come_up()\nwhile True: say(type="sample", id=0, metrics={}); time.sleep(.01)',
        "asked",
    ),
    "wrong id": (
        'come_up(); hear(); say(type="sample", id=99, metrics={"a": 1}); time.sleep(60)',
        "not asked",
    ),
    "endless parts": (
        'come_up(); n = hear()["id"]\nwhile True: say(type="sample", id=n, more=True)',
        "parts",
    ),
    "text as number": (
        'come_up(); n = hear()["id"]; say(type="sample", id=n, metrics={"a": "x"}); time.sleep(60)',
        "no message",
    ),
    "hang": ("come_up(); time.sleep(60)", "did not answer within 1 s"),
    "hang without term": (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); come_up(); time.sleep(60)",
        "did not answer within 1 s",
    ),
    "never configured": (
        'say(type="ready", name="p"); time.sleep(60)',
        "configuration within",
    ),
    "other name": ('say(type="ready", name="q"); time.sleep(60)', "calls itself 'q'"),
    "exit": ("come_up(); sys.exit(3)", "exit code 3"),
    "crash": ("come_up(); raise OSError('the sensor is gone')", "the sensor is gone"),
    "killed": ("come_up(); os.kill(os.getpid(), 9)", "exit code 137"),
    "closed output": ("come_up(); os.close(1); time.sleep(60)", "closed its output"),
}


@pytest.mark.parametrize("source", HOSTILE)
async def test_misbehaviour_is_named_and_leaves_nothing(run, source, monkeypatch):
    monkeypatch.setattr("agent_client.plugins.runner.CONFIGURE_SECONDS", 1.0)
    monkeypatch.setattr(process, "END_SECONDS", 4.0)
    text, reason = HOSTILE[source]
    found = run(text)
    assert reason in await found.until_failed()
    assert found.samples == []


async def test_plugin_comes_back_with_growing_pauses(run, monkeypatch):
    found = run("come_up(); sys.exit(1)")
    await found.until(lambda: found.runner.state.restarts >= 3)
    assert found.programs.prepared in (3, 4)
    assert len(found.programs.failures) >= 3
    assert ("failed", "it ended with exit code 1") in found.states


async def test_processes_that_detached_themselves_end_with_the_plugin(run, tmp_path):
    found = run("""
pids = []
for kind in ("plain", "session", "double"):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if kind != "plain": os.setsid()
        if kind == "double" and os.fork(): os._exit(0)
        for n in range(3): os.close(n)
        time.sleep(120); os._exit(0)
come_up()
while True:
    n = hear()["id"]; say(type="sample", id=n, metrics={"a": 1})
""")
    await found.until(lambda: found.samples)
    # The guard, the plug-in and its three descendants.
    assert len(processes_with(tmp_path)) >= 5
    # The fixture ends the runner and asserts that nothing is left.


async def test_values_beyond_the_bounds_are_cut_and_counted(run):
    found = run("""
class P(sdk.Plugin):
    name = "p"
    def collect(self):
        many = {f"m{n}": n for n in range(300)}
        return sdk.Sample({**many, "x" * 500: 1}, tuple("y" * 3000 for _ in range(2)) + ("",) * 300)
sdk.run(P())
""")
    await found.until(lambda: found.samples)
    sample = found.samples[0]
    assert (len(sample.metrics), len(sample.lines)) == (200, 200)
    assert max(map(len, sample.lines)) == 2000
    assert found.runner.cut_values >= 203


KEEPING = """
class P(sdk.Plugin):
    name, version = "p", "7"
    def collect(self):
        with open(self.context.state_directory + "/cache", "ab") as file:
            file.write(bytes(100_000))
        return {"value": 1}
sdk.run(P())
"""


async def test_plugin_that_keeps_too_much_is_stopped_until_somebody_makes_room(run, monkeypatch):
    monkeypatch.setattr(quota, "MAX_STATE_BYTES", 300_000)
    monkeypatch.setattr(quota, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(quota, "STOPPED_LOOK_SECONDS", 0.05)
    found = run(KEEPING)
    await found.until(lambda: found.runner.state.condition == "stopped")
    state = found.runner.state
    cache = found.programs.directory / "cache"
    assert (state.code, str(found.programs.directory) in state.detail) == (
        "plugin_state_full",
        True,
    )
    assert state.restarts == 0
    assert not processes_with(found.programs.directory)
    # It is looked at, not started, to see whether it still keeps too much.
    looks = []
    real = quota.check_room
    monkeypatch.setattr(quota, "check_room", lambda place: (looks.append(place), real(place)))
    await found.until(lambda: len(looks) >= 3)
    assert (found.runner.state, found.programs.prepared) == (state, 1)
    samples = len(found.samples)
    cache.unlink()
    await found.until(lambda: len(found.samples) > samples)
    assert found.runner.state.code == ""


async def test_what_the_plugin_logs_is_bounded(run, caplog):
    caplog.set_level("INFO")
    found = run("""
come_up()
for n in range(500): say(type="log", level="error", text="oops")
while True:
    n = hear()["id"]; say(type="sample", id=n, metrics={"a": 1})
""")
    await found.until(lambda: found.samples)
    assert sum("oops" in record.message for record in caplog.records) <= 120
    assert found.runner.log.dropped_lines >= 380


async def test_no_process_is_left_when_a_start_is_canceled_at_any_moment(tmp_path):
    for step in range(12):
        found = Run(Scripts(tmp_path / "p", GOOD))
        running = asyncio.ensure_future(found.runner.run())
        await asyncio.sleep(step * 0.005)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert processes_with(tmp_path) == []
