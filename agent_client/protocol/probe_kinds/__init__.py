"""The kinds of probes: what can be set, what is valid, what each setting means.

Used by the server's forms and API and by the agent alike. `check` is the only judge of a
configuration; `fields` describes it to a form.
"""

from __future__ import annotations

import difflib
from typing import Any

import msgspec

from agent_client.protocol.probe_kinds import (
    dns,
    http,
    mysql,
    ping,
    postgresql,
    push,
    redis,
    script,
    smtp,
    ssh,
    tcp,
    tls,
    udp,
    websocket,
)
from agent_client.protocol.probe_kinds.shape import (
    Field,
    KindSpec,
    Problems,
    fields_of,
    problems_in,
)

_KINDS = (
    http,
    tcp,
    ping,
    dns,
    tls,
    udp,
    websocket,
    smtp,
    ssh,
    postgresql,
    mysql,
    redis,
    script,
    push,
)
SPECS: dict[str, KindSpec] = {one.SPEC.name: one.SPEC for one in _KINDS}

__all__ = ["SPECS", "Field", "KindSpec", "Problems", "check", "fields", "names", "settings"]


def names() -> tuple[str, ...]:
    """Return the names of all kinds, in the order a form lists them."""
    return tuple(SPECS)


def fields(kind: str) -> tuple[Field, ...]:
    """Return the settings of a kind in order; raises KeyError for an unknown one."""
    return fields_of(SPECS[kind])


def check(kind: Any, target: Any, config: Any) -> Problems:
    """Return the problems by field (`kind`, `target`, `config`, `config.<setting>`).

    Empty when the probe can run. Never raises, whatever it is given.
    """
    if not isinstance(kind, str) or kind not in SPECS:
        near = difflib.get_close_matches(str(kind)[:64], SPECS, 1)
        remedy = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(SPECS)}."
        return {"kind": [f"{str(kind)[:64]} is not a kind of probe: {remedy}"]}
    return problems_in(SPECS[kind], target, config)


def settings(kind: str, config: dict[str, Any]) -> Any:
    """Return the settings struct of a configuration that `check` accepted."""
    return msgspec.convert(config, SPECS[kind].settings)
