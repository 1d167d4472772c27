"""The program that moves files is started without its secret in sight."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent_client.files.order import read_order
from agent_client.sub_agent.errors import StartError
from agent_client.sub_agent.mover import mover

HOST = {"interpreter": "/usr/bin/python3", "package": "/opt", "servers": ["http://s"], "roots": {}}
TRANSFER = {"id": "0123456789abcdef", "token": "dpt_secret", "path": "/x"}
SPEC = {"kind": "file_preview", "transfer": TRANSFER}


def test_token_is_in_no_argument_and_the_order_is_readable(tmp_path: Path) -> None:
    limits = tmp_path / "limits.json"
    limits.write_text("{}")
    argv, inherited = mover(SPEC, {"files": {**HOST, "limits_file": str(limits)}})
    assert argv[:2] == ("/usr/bin/python3", "-I")
    assert "dpt_secret" not in " ".join(argv)
    order = read_order(int(argv[-1]))
    assert (order.transfer.token, order.servers, order.kind) == (
        "dpt_secret",
        ("http://s",),
        "file_preview",
    )
    assert set(inherited) == {int(argv[-1]), order.limits}
    for descriptor in inherited:
        os.close(descriptor)


def test_without_limits_file_there_is_no_limit() -> None:
    argv, inherited = mover(SPEC, {"files": {**HOST, "limits_file": "/nowhere/limits.json"}})
    assert read_order(int(argv[-1])).limits is None
    os.close(inherited[0])


@pytest.mark.parametrize(
    ("spec", "order"), [({"kind": "file_preview"}, {"files": HOST}), (SPEC, {})]
)
def test_order_without_a_transfer_is_refused(spec: dict, order: dict) -> None:
    with pytest.raises(StartError, match="update"):
        mover(spec, order)
