"""What a server may say about a transfer: nothing that could become more than a name."""

from __future__ import annotations

import json

import pytest

from agent_client.protocol.codec import ProtocolError, decode_server_frame

GOOD = {"id": "0123456789abcdef01234567", "token": "dpt_x", "path": "/srv/x"}
SPEC = {
    "task_id": 1,
    "offer": 1,
    "installation": "i",
    "name": "n",
    "script_type": "shell",
    "script_content": "",
    "kind": "file_upload",
}


def offer(**fields: object) -> str:
    """Return the frame of an offer with one transfer."""
    spec = {**SPEC, "transfer": {**GOOD, **fields}}
    return json.dumps({"type": "tasks_batch", "message_id": "m", "tasks": [spec]})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "/../../out/victim"),
        ("id", "0123456789abcdef\n"),
        ("id", ""),
        ("id", "0123"),
        ("sha256", "/../../out/victi".ljust(64, "0")),
        ("sha256", "A" * 64),
        ("sha256", "0" * 63),
        ("sha256", "0" * 64 + "\n"),
        ("bandwidth_mb", -1),
        ("bandwidth_mb", 1e9),
        ("mode", -1),
        ("mode", 0o10000),
    ],
)
def test_transfer_that_could_do_harm_is_no_message(field: str, value: object) -> None:
    with pytest.raises(ProtocolError, match=field):
        decode_server_frame(offer(**{field: value}))


@pytest.mark.parametrize(
    "fields", [{}, {"sha256": "0" * 64, "mode": 0o7777, "bandwidth_mb": 100_000}, {"sha256": ""}]
)
def test_transfer_as_a_server_makes_it_is_understood(fields: dict[str, object]) -> None:
    (batch,) = decode_server_frame(offer(**fields))
    assert batch.tasks[0].transfer.id == GOOD["id"]
