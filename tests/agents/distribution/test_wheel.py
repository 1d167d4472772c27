"""The agent's wheel: the same bytes from the same sources, and what pip needs in it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tomllib
import zipfile
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agents.distribution.wheel import SourcesUnusable, Wheel, build_wheel
from tests.rules.source_tree import ROOT

SOURCES = ROOT / "agent_client"


@pytest.fixture(scope="module")
def wheel() -> Wheel:
    return build_wheel(SOURCES)


def members(wheel: Wheel) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(wheel.data))


def test_same_sources_give_same_bytes(wheel):
    assert build_wheel(SOURCES).sha256 == wheel.sha256


def test_wheel_holds_every_module_and_nothing_of_the_server(wheel):
    names = {name for name in members(wheel).namelist() if name.endswith(".py")}
    assert names == {f"agent_client/{p.relative_to(SOURCES)}" for p in SOURCES.rglob("*.py")}


def test_record_names_the_digest_of_every_file(wheel):
    archive = members(wheel)
    record = archive.read(f"dialer_agent-{wheel.version}.dist-info/RECORD").decode()
    rows = dict(line.split(",", 1) for line in record.splitlines())
    assert set(rows) == set(archive.namelist())
    for name, rest in rows.items():
        if not name.endswith("RECORD"):
            digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest())
            assert rest.split(",")[0] == "sha256=" + digest.rstrip(b"=").decode()


def test_pins_are_those_of_the_installation():
    project = tomllib.loads((SOURCES / "pyproject.toml").read_text())["project"]
    pinned = set(re.findall(r"(?m)^[\w.-]+==\S+", (ROOT / "requirements.txt").read_text()))
    assert set(project["dependencies"]) <= pinned


def test_what_the_pinned_packages_need_is_pinned_too():
    project = tomllib.loads((SOURCES / "pyproject.toml").read_text())["project"]
    pinned = dict(one.split("==") for one in project["dependencies"])
    assert {name: version(name) for name in pinned} == pinned
    needed = [Requirement(text) for name in pinned for text in requires(name) or ()]
    used = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    assert {canonicalize_name(one.name) for one in used} <= {canonicalize_name(n) for n in pinned}


def test_lock_holds_the_pins_and_digests_for_each(wheel):
    project = tomllib.loads((SOURCES / "pyproject.toml").read_text())["project"]
    name = f"dialer_agent-{wheel.version}.dist-info/requirements.lock"
    text = members(wheel).read(name).decode()
    pins = re.findall(r"(?m)^([\w.-]+==\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text)
    assert sorted(pins) == sorted(project["dependencies"])


@pytest.mark.parametrize("text", ['version = "1"\n', '__version__ = "../1"\n'])
def test_sources_without_a_version_are_refused(tmp_path: Path, text: str):
    (tmp_path / "__init__.py").write_text(text)
    (tmp_path / "requirements.lock").touch()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    with pytest.raises(SourcesUnusable, match="__version__"):
        build_wheel(tmp_path)


def test_missing_sources_are_refused(tmp_path: Path):
    with pytest.raises(SourcesUnusable, match="No such file"):
        build_wheel(tmp_path)
