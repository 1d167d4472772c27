"""The program that moves files is started without its secret in sight."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agent_client.files.order import read_order
from agent_client.sub_agent import records
from agent_client.sub_agent.errors import StartError
from agent_client.sub_agent.mover import mover

HOST = {"interpreter": "/usr/bin/python3", "package": "/opt", "servers": ["http://s"], "roots": {}}
TRANSFER = {"id": "0123456789abcdef", "token": "dpt_secret", "path": "/x"}
SPEC = {"kind": "file_preview", "transfer": TRANSFER}


def test_token_is_in_no_argument_and_the_order_is_readable(tmp_path: Path) -> None:
    limits = tmp_path / "limits.json"
    limits.write_text("{}")
    argv, inherited = mover(str(tmp_path), SPEC, {"files": {**HOST, "limits_file": str(limits)}})
    assert argv[:2] == ("/usr/bin/python3", "-I")
    assert "dpt_secret" not in " ".join(argv)
    order = read_order(int(argv[-1]))
    assert (order.transfer.token, order.servers, order.kind) == (
        "dpt_secret",
        ("http://s",),
        "file_preview",
    )
    assert set(inherited) == {int(argv[-1]), order.limits, order.own_limit}
    for descriptor in inherited:
        os.close(descriptor)


def test_without_limits_file_there_is_no_limit(tmp_path: Path) -> None:
    order = {"files": {**HOST, "limits_file": "/nowhere/limits.json"}}
    argv, inherited = mover(str(tmp_path), SPEC, order)
    assert read_order(int(argv[-1])).limits is None
    for descriptor in inherited:
        os.close(descriptor)


def test_own_limit_that_was_changed_before_the_start_is_kept(tmp_path: Path) -> None:
    records.write_bandwidth(str(tmp_path), 3.0)
    spec = {**SPEC, "transfer": {**TRANSFER, "bandwidth_mb": 10.0}}
    _argv, inherited = mover(str(tmp_path), spec, {"files": HOST})
    assert records.read_bandwidth(str(tmp_path)) == 3.0
    for descriptor in inherited:
        os.close(descriptor)


def test_full_disk_leaves_a_transfer_without_a_limit_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(directory: str, megabytes: float) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records, "write_bandwidth", refuse)
    argv, inherited = mover(str(tmp_path), SPEC, {"files": HOST})
    assert read_order(int(argv[-1])).own_limit is None
    os.close(inherited[0])


@pytest.mark.parametrize(
    ("spec", "order"), [({"kind": "file_preview"}, {"files": HOST}), (SPEC, {})]
)
def test_order_without_a_transfer_is_refused(spec: dict, order: dict) -> None:
    with pytest.raises(StartError, match="update"):
        mover("/nowhere", spec, order)
