"""The digest of what an agent holds: one short string that both sides can compare.

Two lists with the same tasks, offers and states have the same digest, whatever their
order; `log_bytes` is left out because it changes with every line of output. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from agent_client.protocol.messages import Hold

_DIGEST_BYTES = 12
"""96 bits: equal by accident never, and short enough for every beat."""


def holds_digest(holds: Iterable[Hold]) -> str:
    """Return the digest of holds as 24 hexadecimal digits; no holds have one too."""
    lines = sorted((hold.task_id, hold.offer, hold.state) for hold in holds)
    text = "\n".join(f"{task_id}.{offer}.{state}" for task_id, offer, state in lines)
    return hashlib.blake2b(text.encode("ascii"), digest_size=_DIGEST_BYTES).hexdigest()
