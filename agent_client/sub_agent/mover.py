"""The command of a task that moves a file: our own program in place of a script.

The order with the transfer's token goes by an anonymous file that only the program gets
open: not by arguments, environment or a path, which others on the host could read. It also
works for another user, who may not enter the agent's directories.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from agent_client.sub_agent import records
from agent_client.sub_agent.errors import StartError

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    " from agent_client.files.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


def mover(
    directory: str, spec: Mapping[str, Any], order: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the command and the descriptors it needs open; raises StartError or OSError.

    directory is that of the task: the transfer's own limit stands there, to be changed.
    """
    host = dict(order.get("files") or {})
    if not spec.get("transfer") or not host:
        raise StartError("the order says nothing about the file; update the agent and the server")
    interpreter, package = str(host.pop("interpreter")), str(host.pop("package"))
    limits = _open_limits(str(host.pop("limits_file", "")))
    own_limit = _open_own_limit(directory, float(spec["transfer"].get("bandwidth_mb") or 0))
    told = {
        **host,
        "kind": spec["kind"],
        "transfer": spec["transfer"],
        "limits": limits,
        "own_limit": own_limit,
    }
    descriptor = os.memfd_create("dialer-transfer", os.MFD_CLOEXEC)
    os.write(descriptor, json.dumps(told).encode())
    # Isolated: nothing of the task's environment decides what code moves the file.
    argv = (interpreter, "-I", "-c", _PROGRAM, package, str(descriptor))
    return argv, tuple(one for one in (descriptor, limits, own_limit) if one is not None)


def _open_own_limit(directory: str, megabytes: float) -> int | None:
    """Return the transfer's own limit, open; one that was set before the start is kept.

    None where the disk takes no file: then it cannot be changed while the transfer runs.
    """
    try:
        if records.read_bandwidth(directory) is None:
            records.write_bandwidth(directory, megabytes)
    except OSError:
        return None
    return _open_limits(os.path.join(directory, records.BANDWIDTH))


def _open_limits(path: str) -> int | None:
    """Return the agent's limits, open; None where there are none."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else None
    except OSError:
        return None
