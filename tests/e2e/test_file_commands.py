"""`put`, `get` and `ls` against a real server and agent, as a person types them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_client.protocol.transfers import POLICY_DENIED_EXIT
from tests.e2e.stack import ROOT, Stack, running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("file-commands")]

Ran = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the only directory that the host of a running stack allows."""
    root = tmp_path_factory.mktemp("root")
    directory = tmp_path_factory.mktemp("stack")
    with running_stack(directory) as stack, pytest.MonkeyPatch.context() as patch:
        _allow(stack, root)
        stack.start_agent()
        token = stack.manage("token", "admin").splitlines()[-1]
        patch.setenv("DIALER_URL", stack.url)
        patch.setenv("DIALER_TOKEN", token)
        yield root


def _allow(stack: Stack, root: Path) -> None:
    state = stack.directory / "agent-host1"
    state.mkdir(mode=0o700)
    policy = state / "policy.yaml"
    policy.write_text(f'directories: ["{root}"]\n')
    policy.chmod(0o600)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Ran]:
    """Return a function that runs one command in a directory of the test's own."""

    def command(*arguments: str) -> Ran:
        return subprocess.run(
            [sys.executable, "-m", "agent_client", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=90,
        )

    return command


def test_file_goes_there_and_back(host: Path, run: Callable[..., Ran], tmp_path: Path) -> None:
    data = os.urandom(5_000_000)
    (tmp_path / "data.bin").write_bytes(data)
    sent = run("put", "data.bin", f"host1:{host}/in/", "--wait", "--mode", "0600")
    assert sent.returncode == 0, sent.stderr
    assert "arrived whole" in sent.stderr
    assert (host / "in" / "data.bin").read_bytes() == data
    assert run("put", "data.bin", f"host1:{host}/in/", "--wait").returncode == 1
    got = run("get", f"host1:{host}/in/data.bin", "back.bin")
    assert (got.returncode, got.stdout) == (0, "back.bin\n"), got.stderr
    assert (tmp_path / "back.bin").read_bytes() == data


def test_directory_goes_there_and_is_listed(
    host: Path, run: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "a.txt").write_text("hello\n")
    sent = run("put", "tree", f"host1:{host}/tree", "--archive", "--wait")
    assert sent.returncode == 0, sent.stderr
    names = [line.split()[-1] for line in run("ls", f"host1:{host}/tree").stdout.splitlines()]
    assert names == ["NAME", "sub/", "a.txt"]
    assert run("ls", f"host1:{host}/tree/a.txt").stdout == "hello\n\n"


def test_refusal_of_the_host_is_shown(host: Path, run: Callable[..., Ran]) -> None:
    refused = run("ls", "host1:/etc")
    assert refused.returncode == POLICY_DENIED_EXIT
    assert "policy_denied: " in refused.stderr
