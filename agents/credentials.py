"""Whose credential is this: `dpa_…` to a principal, cached, revoked within five seconds.

The answer is kept in memory for a minute, so a beat costs no query. A revocation empties
the cache of its own process at once; every other process learns of it by the doorbell,
and by looking for fresh revocations every two seconds (`revocations`).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict

from agents import offload
from agents.models import Agent
from agents.principal import AgentPrincipal
from dialer_platform.accounts import secrets
from dialer_platform.errors import Unauthenticated
from dialer_platform.storage.installation import installation_id

CACHE_SECONDS = 60.0
UNKNOWN_SECONDS = 5.0
MAX_CACHED = 50_000
TOUCHED_FIELDS = ("id", "tenant_id", "epoch", "token_sha256", "revoked_at")

Verdict = AgentPrincipal | str
"""A principal, or the code of the refusal."""

_cache: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()
_guard = threading.Lock()


async def authenticate(token: str) -> AgentPrincipal:
    """Return whom the token belongs to; raises Unauthenticated. Looks up off the loop."""
    key = hashlib.sha256(token.encode(errors="replace")).digest()
    verdict = _cached(key)
    if verdict is None:
        started = time.monotonic()
        verdict = await offload.run(look_up, token)
        _keep(key, verdict, started)
    if isinstance(verdict, AgentPrincipal):
        return verdict
    raise Unauthenticated("The agent's credential is not valid.", code=verdict)


def look_up(token: str) -> Verdict:
    """Return the principal of the token from the database, or why there is none."""
    parsed = secrets.parse(token, prefix=secrets.AGENT_PREFIX)
    if parsed is None:
        return "invalid_token"
    agent = Agent.objects.filter(token_public_id=parsed.public_id).only(*TOUCHED_FIELDS).first()
    if agent is None or not secrets.matches(parsed, agent.token_sha256):
        return "invalid_token"
    if agent.revoked_at:
        return "revoked_token"
    installation_id()  # read once, here: the event loop must not ask the database later
    return AgentPrincipal(agent.id, agent.tenant_id, agent.epoch)


def forget(agent_id: str) -> None:
    """Drop what is cached of an agent: its credential was revoked or replaced."""
    with _guard:
        stale = [
            key
            for key, (_, verdict) in _cache.items()
            if isinstance(verdict, AgentPrincipal) and verdict.agent_id == agent_id
        ]
        for key in stale:
            del _cache[key]
        _forgotten[agent_id] = time.monotonic()
        while len(_forgotten) > MAX_CACHED:
            _forgotten.popitem(last=False)


def clear() -> None:
    """Forget all credentials."""
    with _guard:
        _cache.clear()
        _forgotten.clear()


_forgotten: OrderedDict[str, float] = OrderedDict()


def _cached(key: bytes) -> Verdict | None:
    """Return the verdict that is still fresh."""
    with _guard:
        entry = _cache.get(key)
        if entry is None or entry[0] < time.monotonic():
            return None
        return entry[1]


def _keep(key: bytes, verdict: Verdict, started: float) -> None:
    """Remember a verdict, unless its agent was forgotten while it was looked up."""
    seconds = CACHE_SECONDS if isinstance(verdict, AgentPrincipal) else UNKNOWN_SECONDS
    with _guard:
        if (
            isinstance(verdict, AgentPrincipal)
            and _forgotten.get(verdict.agent_id, float("-inf")) >= started
        ):
            return
        _cache[key] = (time.monotonic() + seconds, verdict)
        _cache.move_to_end(key)
        while len(_cache) > MAX_CACHED:
            _cache.popitem(last=False)
