"""Packages on a whole agent: asked for by the server, allowed by the host, run or rolled back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agent_client.app import App
from agent_client.plugins.runner import Pace
from agent_client.policy import PluginRules, Policy
from agent_client.protocol.plugins import PluginPackage, PluginState, PluginWanted
from tests.agent_client.fake_server import FakeServer
from tests.agent_client.plugins.packages import Author
from tests.agent_client.plugins.processes import processes_with
from tests.agent_client.plugins.test_service import (
    conditions,
    name_revision,
    samples_of,
    told,
)
from tests.agent_client.test_app import config_for, running_app


@pytest.fixture
def author(tmp_path) -> Author:
    return Author(tmp_path / "author")


def allowing(author: Author, **rules: object) -> Policy:
    values = {"allowed": ("*", "demo"), "install": True, "keys": (author.public,)}
    return Policy(plugins=PluginRules(**(values | rules)))


@pytest.fixture
async def app(server, tmp_path, monkeypatch) -> AsyncIterator[App]:
    monkeypatch.setattr("agent_client.plugins.service.BATCH_SECONDS", 0.1)
    pace = Pace(first_pause_seconds=0.05, longest_pause_seconds=0.2)
    monkeypatch.setattr("agent_client.plugins.service.USUAL_PACE", pace)
    async with running_app(config_for(server, tmp_path / "state")) as found:
        await found.link.wait_ready()
        yield found


async def want(server: FakeServer, package: PluginPackage, data: bytes = b"") -> None:
    """Have the server want one package and offer its bytes."""
    if data:
        server.plugins.packages[package.sha256] = data
    server.plugins.want(PluginWanted("demo", interval_seconds=0.2, package=package))
    await name_revision(server)


def demo(server: FakeServer) -> PluginState:
    return next((one for one in told(server) if one.name == "demo"), PluginState("", "stopped"))


async def test_package_is_fetched_installed_and_run(app, server, author):
    app.plugins.limit(allowing(author))
    await want(server, *author.package("1.0", value=7))
    await server.until(lambda: samples_of(server, "demo"), 30)
    assert samples_of(server, "demo")[0].metrics == {"value": 7}
    await server.until(lambda: demo(server).version == "1.0")


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ({"install": False}, "plugins.install: false"),
        ({"keys": ()}, "plugins.keys: no key"),
        ({"allowed": ("*",)}, "plugins.allowed: demo"),
        ({"keys": ("A" * 43 + "=",)}, "not signed by a key"),
    ],
)
async def test_package_is_refused_with_the_rule_and_not_fetched(
    app,
    server,
    author,
    rules,
    rule,
):
    app.plugins.limit(allowing(author, **rules))
    await want(server, *author.package("1.0"))
    await server.until(lambda: conditions(server) == {"demo": "refused"})
    assert rule in demo(server).detail
    assert demo(server).code == ("package_refused" if "signed" in rule else "policy_denied")
    assert not [path for path in server.requests if "packages" in path]


async def test_nothing_is_installed_by_the_default_policy(app, server, author):
    await want(server, *author.package("1.0"))
    await server.until(lambda: conditions(server) == {"demo": "refused"})


async def test_package_may_not_replace_a_built_in_plugin(app, server, author):
    app.plugins.limit(allowing(author, allowed=("*", "cpu")))
    package, data = author.package("1.0", name="cpu")
    server.plugins.packages[package.sha256] = data
    server.plugins.want(PluginWanted("cpu", package=package))
    await name_revision(server)
    await server.until(lambda: conditions(server) == {"cpu": "refused"})
    assert "built in" in told(server)[0].detail


async def test_refused_package_is_taken_when_the_owner_allows_it(
    app,
    server,
    author,
):
    app.plugins.limit(allowing(author, install=False))
    await want(server, *author.package("1.0"))
    await server.until(lambda: conditions(server) == {"demo": "refused"})
    app.plugins.limit(allowing(author))
    await server.until(lambda: conditions(server) == {"demo": "running"}, 30)


async def test_running_package_ends_when_its_key_is_taken_back(
    app,
    server,
    author,
):
    app.plugins.limit(allowing(author))
    await want(server, *author.package("1.0"))
    await server.until(lambda: conditions(server) == {"demo": "running"}, 30)
    app.plugins.limit(allowing(author, keys=("A" * 43 + "=",)))
    await server.until(lambda: conditions(server) == {"demo": "refused"})


async def test_new_version_takes_over(app, server, author):
    app.plugins.limit(allowing(author))
    await want(server, *author.package("1.0", value=1))
    await server.until(lambda: demo(server).condition == "running", 30)
    await want(server, *author.package("1.1", value=2))
    await server.until(lambda: demo(server).version == "1.1", 30)
    await server.until(lambda: samples_of(server, "demo")[-1].metrics == {"value": 2})


async def test_version_that_does_not_come_up_is_rolled_back_and_told(
    app,
    server,
    author,
):
    app.plugins.limit(allowing(author))
    await want(server, *author.package("1.0", value=1))
    await server.until(lambda: demo(server).condition == "running", 30)
    await want(server, *author.package("2.0", extra="raise SystemExit('broken build')"))
    await server.until(lambda: "runs instead" in demo(server).detail, 40)
    assert "2.0 did not come up" in demo(server).detail
    assert "broken build" in demo(server).detail
    assert (demo(server).condition, demo(server).version) == ("running", "1.0")
    before = len(samples_of(server, "demo"))
    await server.until(lambda: len(samples_of(server, "demo")) > before + 2)


async def test_package_that_the_server_lacks_is_told_and_tried_again(
    app,
    server,
    author,
):
    app.plugins.limit(allowing(author))
    package, data = author.package("1.0")
    await want(server, package)
    await server.until(lambda: demo(server).condition == "failed", 30)
    assert "404" in demo(server).detail
    server.plugins.packages[package.sha256] = data
    await server.until(lambda: demo(server).condition == "running", 30)


async def test_everything_of_an_unwanted_package_is_removed(
    app,
    server,
    author,
    tmp_path,
):
    app.plugins.limit(allowing(author))
    await want(server, *author.package("1.0"))
    await server.until(lambda: demo(server).condition == "running", 30)
    assert (tmp_path / "state/plugins/demo/current/main.py").is_file()
    server.plugins.want()
    await name_revision(server)
    await server.until(lambda: not (tmp_path / "state/plugins/demo").exists())
    assert (tmp_path / "state/plugins/versions.json").exists()


# --- what must never be installed, over a whole agent -------------------------------------


def unsigned(author: Author) -> tuple[PluginPackage, bytes]:
    package, data = author.package("1.0")
    return msgspec.structs.replace(package, signature=""), data


def wrong_hash(author: Author) -> tuple[PluginPackage, bytes]:
    """A signature of another content than the one that is named."""
    package, _ = author.package("1.0")
    other, data = author.package("1.0", value=2)
    return msgspec.structs.replace(package, sha256=other.sha256, size_bytes=len(data)), data


def tampered(author: Author) -> tuple[PluginPackage, bytes]:
    """What was signed is named, and a byte of what arrives is another."""
    package, data = author.package("1.0")
    middle = len(data) // 2
    return package, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def exchanged(author: Author) -> tuple[PluginPackage, bytes]:
    """What was signed is named, and another signed package of the same author arrives."""
    package, _ = author.package("1.0")
    return package, author.package("0.9", value=2)[1]


def installed(state: Path) -> list[Path]:
    """Return everything of packages that lies in a state directory."""
    return [*state.rglob("*.tar.gz"), *state.glob("plugins/demo/versions/*")]


@pytest.mark.parametrize("kind", [unsigned, wrong_hash, tampered, exchanged])
async def test_package_that_is_not_what_was_signed_is_told_and_not_installed(
    app, server, author, tmp_path, kind
):
    app.plugins.limit(allowing(author))
    await want(server, *kind(author))
    await server.until(lambda: conditions(server) == {"demo": "refused"}, 30)
    assert demo(server).code == "package_refused"
    assert installed(tmp_path / "state") == []
    assert not samples_of(server, "demo")
    assert not processes_with(tmp_path / "state" / "plugins")


async def test_old_version_is_told_and_not_installed(app, server, author, tmp_path):
    app.plugins.limit(allowing(author))
    await want(server, *author.package("2.0", value=2))
    await server.until(lambda: demo(server).condition == "running", 30)
    await want(server, *author.package("1.0", value=1))
    await server.until(lambda: demo(server).condition == "refused", 30)
    assert "below 2.0" in demo(server).detail
    assert not [path for path in installed(tmp_path / "state") if path.name.startswith("1.0")]
    assert {one.metrics["value"] for one in samples_of(server, "demo")} == {2}


async def test_file_that_was_swapped_after_the_check_is_not_run(app, server, author, tmp_path):
    app.plugins.limit(allowing(author))
    await want(server, *author.package("1.0", value=1))
    await server.until(lambda: demo(server).condition == "running", 30)
    entry = tmp_path / "state" / "plugins" / "demo" / "versions" / "1.0" / "main.py"
    signed = entry.read_text()
    swapped = signed.replace('"value": 1', '"value": 99')
    assert swapped != signed
    entry.write_text(swapped)
    # Another policy starts it anew.
    app.plugins.limit(allowing(author, allowed=("*", "demo", "other")))
    await server.until(lambda: entry.read_text() == signed, 30)
    before = len(samples_of(server, "demo"))
    await server.until(lambda: len(samples_of(server, "demo")) > before + 2, 30)
    assert {one.metrics["value"] for one in samples_of(server, "demo")} == {1}
