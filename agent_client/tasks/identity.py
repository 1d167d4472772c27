"""Watching a process for ever by its identity: a pidfd that is certainly the right one.

A pid from a file may be somebody else's by now; opening the pidfd first and comparing the
start time afterwards leaves no window.
"""

from __future__ import annotations

import os

from agent_client.sub_agent.identity import ProcessIdentity, boot_id, identity_of, read_stat

__all__ = ["ProcessIdentity", "boot_id", "identity_of", "open_pidfd", "read_stat"]


def open_pidfd(identity: ProcessIdentity) -> int | None:
    """Return a pidfd of that very process, None when it is gone."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError:
        return None
    if identity.is_alive():
        return descriptor
    os.close(descriptor)
    return None
