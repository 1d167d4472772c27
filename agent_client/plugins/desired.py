"""What this host is to run, from the server and on disk, so that it goes on without one.

The set is stored before it is used: an agent that starts while the server is away begins
with at least as much as it knew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import msgspec

from agent_client.probing.sync import SetSync
from agent_client.protocol.plugins import PluginSet
from agent_client.state import write_durably
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import Endpoint

logger = logging.getLogger(__name__)

PATH = "/api/v1/plugins/agent?agent_id="
REFRESH_SECONDS = 600.0
"""The revision comes with every answer to a heartbeat; this mends what was lost anyway."""


class PluginFile:
    """The last known set on disk."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self._path = path

    def load(self) -> PluginSet | None:
        """Return the stored set; an unreadable one is as good as none: the server has it."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=PluginSet)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("%s cannot be read: %s", self._path.name, error)
            return None

    def save(self, wanted: PluginSet) -> None:
        """Store a set durably; raises OSError."""
        # Durable before it is used: after a power cut the host must not fall back to an older set.
        write_durably(self._path, msgspec.json.encode(wanted))


def make_sync(
    agent_id: str,
    *,
    backoff: Backoff,
    endpoint: Callable[[str], Endpoint],
    on_set: Callable[[PluginSet], None],
) -> SetSync[PluginSet]:
    """Return the thread that fetches the set of plug-ins."""
    # Probes and plug-ins travel the same way; one thread class serves both.
    return SetSync(
        PATH + quote(agent_id, safe=""),
        PluginSet,
        what="plug-ins",
        backoff=backoff,
        endpoint=endpoint,
        on_set=on_set,
        refresh_seconds=REFRESH_SECONDS,
    )
