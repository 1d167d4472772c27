"""Frames of every kind as a release says them, made from the types: bare and with all fields.

`python -m tests.agent_client.protocol.samples > tests/agent_client/protocol/recorded/0.1.0.jsonl`
records them when a release is made. Recorded files are never changed afterwards: whatever
comes later must read them, as agents and servers are changed one after the other.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from msgspec import inspect as types

from agent_client.protocol import codec, frames, messages
from agent_client.protocol.probes import ProbeResult, ProbeSet

PLAIN = {types.FloatType: 1.5, types.BoolType: True, types.StrType: "text", types.AnyType: "any"}
WORDS = ("text", "0" * 64, "1.0.0")
BARE, VARIANTS = -1, 7
"""The number of a variant chooses among the words that a field may have."""
KINDS: dict[str, tuple[type, ...]] = {
    "agent": messages.AgentMessage.__args__,
    "server": messages.ServerMessage.__args__,
    "answer": (messages.Answer,),
    "heartbeat": (messages.Heartbeat,),
    "probes": (ProbeSet,),
    "result": (ProbeResult,),
}
LOG = frames.encode(frames.STDOUT, 1, b"out\n") + frames.encode(frames.STDERR, 2, b"err\n")


def recording() -> Iterator[dict[str, Any]]:
    """Yield each frame with who says it."""
    for by, kinds in KINDS.items():
        for kind in kinds:
            if kind is not messages.LogChunk:
                for variant in range(BARE, VARIANTS):
                    yield {"by": by, "frame": filled(types.type_info(kind), variant)}
    chunk = messages.LogChunk(message_id="m", task_id=1, offer=1, offset=8, frames=LOG)
    yield {"by": "chunk", "frame": base64.b64encode(codec.encode_chunk(chunk)).decode()}


def filled(kind: types.Type, variant: int) -> Any:
    """Return a value of a type as JSON has it."""
    match kind:
        case types.StructType():
            return _struct(kind, variant)
        case types.UnionType(types=options):
            return filled(_chosen(options, variant), variant)
        case types.LiteralType(values=words):
            return sorted(words)[max(variant, 0) % len(words)]
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            return [filled(item, variant)]
        case types.DictType(value_type=value):
            return {"key": filled(value, variant)}
        case types.IntType():
            return max(kind.ge or 0, 1)
        case types.StrType(pattern=str(pattern)):
            return next(word for word in WORDS if re.search(pattern, word))
    return PLAIN[type(kind)]


def _chosen(options: tuple[types.Type, ...], variant: int) -> types.Type:
    """Return one of several types, something rather than nothing."""
    some = [one for one in options if not isinstance(one, types.NoneType)]
    return some[max(variant, 0) % len(some)]


def _struct(kind: types.StructType, variant: int) -> dict[str, Any]:
    """Return an object with its tag, and the fields of the variant."""
    tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
    wanted = [one for one in kind.fields if one.required or variant != BARE]
    return {**tag, **{one.encode_name: filled(one.type, variant) for one in wanted}}


if __name__ == "__main__":
    lines = (json.dumps(one, sort_keys=True, separators=(",", ":")) for one in recording())
    for line in dict.fromkeys(lines):
        sys.stdout.write(f"{line}\n")
