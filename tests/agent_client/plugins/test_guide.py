"""docs/adding-a-plugin.md: its plug-in passes its own tests, is packed, and runs under an agent."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent_client.plugins import plugin_log, process, quota, runner, samples, sdk, wire
from agent_client.plugins.builtin import MODULES
from agent_client.plugins.pack import pack
from agent_client.plugins.program import Program, Programs
from agent_client.plugins.runner import Runner
from agent_client.plugins.unpack import read_package, write_files
from agent_client.protocol import plugin_package, plugins
from agent_client.protocol.plugins import PluginSample, PluginWanted
from tests.agent_client.plugins.processes import processes_with

DOCS = Path(__file__).resolve().parents[3] / "docs"
GUIDE = (DOCS / "adding-a-plugin.md").read_text(encoding="utf-8")
AGENT = (DOCS / "agent.md").read_text(encoding="utf-8")


def block(language: str, number: int) -> str:
    """Return one piece of code of the guide."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)[number]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    place = tmp_path / "queue_depth"
    place.mkdir()
    (place / "manifest.yaml").write_text(block("yaml", 0))
    (place / "main.py").write_text(block("python", 0))
    (place / "sdk.py").write_text(Path(sdk.__file__).read_text())
    return place


def test_example_passes_the_tests_of_the_guide(example):
    (example / "test_main.py").write_text(block("python", 1))
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:django", "-c", "/dev/null"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "--rootdir", str(example), "test_main.py"],
        cwd=example,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


class OfPackage(Programs):
    """The example as it comes out of its package."""

    def __init__(self, directory: Path, spool: Path) -> None:
        self.directory, self.spool = directory, spool

    async def prepare(self, wanted: PluginWanted) -> Program:
        argv = (sys.executable, "-E", "-s", "-B", str(self.directory / "main.py"))
        return Program(argv, self.directory, self.directory, directories=(str(self.spool),))


async def test_example_runs_from_its_package(example, tmp_path):
    packed = pack(example)
    assert (packed.manifest.name, packed.manifest.version) == ("queue_depth", "1.0")
    write_files(read_package(packed.data), tmp_path / "installed")
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "a").touch()
    found: list[PluginSample] = []
    wanted = PluginWanted("queue_depth", interval_seconds=0.1, config={"directories": [str(spool)]})
    programs = OfPackage(tmp_path / "installed", spool)
    running = asyncio.ensure_future(Runner(wanted, programs=programs, on_sample=found.append).run())
    async with asyncio.timeout(30):
        while not found:
            await asyncio.sleep(0.01)
    assert found[0].metrics[f"waiting_files[{spool}]"] == 1
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert processes_with(tmp_path) == []


@pytest.mark.parametrize(
    "words",
    [
        f"within {runner.READY_SECONDS:.0f} s",
        f"within {runner.CONFIGURE_SECONDS:.0f} s",
        f"within {runner.COLLECT_SECONDS:.0f} s",
        f"ends within {process.STOP_SECONDS:.0f} s",
        f"same id, {runner.MAX_PARTS} at most",
        f"at most {plugins.MAX_METRICS_PER_SAMPLE} metrics",
        f"{plugins.MAX_LINES_PER_SAMPLE} lines of {plugins.MAX_LINE_CHARACTERS:,} characters",
        f"log, {plugin_log.MAX_LINES_PER_MINUTE} a minute",
        f"{quota.MAX_STATE_BYTES // 1024**2} MiB in",
        f"{quota.MAX_STATE_FILES:,} files: a plug-in",
        f"at most {plugin_package.MAX_MANIFEST_BYTES // 1024} KiB and no aliases",
        f"unit {plugins.MAX_UNIT_CHARACTERS} characters, help {plugins.MAX_HELP_CHARACTERS}",
        f"above {wire.MAX_MESSAGE_BYTES // 1024} KiB",
        f"{process.MAX_LINES_PER_SECOND:,} lines or {process.MAX_BYTES_PER_SECOND // 1024**2} MiB",
        f"{runner.FIRST_PAUSE_SECONDS:.0f} s, later up to "
        f"{runner.LONGEST_PAUSE_SECONDS / 60:.0f} min",
        f"at most {plugin_package.MAX_FILES:,} files, "
        f"{plugin_package.MAX_PACKAGE_BYTES // 1024**2} MiB, and "
        f"{plugin_package.MAX_UNPACKED_BYTES // 1024**2} MiB unpacked",
    ],
)
def test_number_of_the_guide_is_that_of_the_code(words):
    assert words in " ".join(GUIDE.split())


def test_agents_page_tells_the_bounds_of_waiting_samples():
    size = samples.MAX_WAITING_BYTES // 1024**2
    assert f"({samples.MAX_WAITING:,} samples, {size} MiB)" in AGENT


@pytest.mark.parametrize("name", MODULES)
def test_agents_page_names_every_metric_of_a_built_in_plugin(name):
    row = next(line for line in AGENT.splitlines() if line.startswith(f"| `{name}` | "))
    module = __import__(MODULES[name], fromlist=["Plugin"])
    missing = [metric for metric in module.Plugin.metrics if f"`{metric}" not in row]
    assert not missing
