"""What agents are to probe and what they bring back, without knowing what a probe is.

Owns the two endpoints and the one provider that `tasks.probes` registers. The number in
beats comes from memory: asking for it never waits for the database.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from agent_client.protocol.probes import MAX_RESULTS_PER_REQUEST, ProbeResult, ProbeSet
from agents.principal import AgentPrincipal
from agents.raw_http import Receive, Scope, Send, query_of, read_body, require_json, send_json
from dialer_platform.errors import Forbidden, Invalid, TooLarge

log = logging.getLogger("dialer.agents.probes")

MAX_RESULTS_BYTES = 8 * 1024 * 1024
MAX_DETAIL_CHARACTERS = 300


class Refusal(NamedTuple):
    """One result that was not stored, and why; it is confirmed all the same."""

    seq: int
    code: str
    detail: str


class ProbeProvider(Protocol):
    """Who knows the probes; registered once by the app that owns them."""

    def revision(self, agent_id: str) -> int:
        """Return the number of the agent's set, from memory; 0 while it is not known."""
        ...

    async def probe_set(self, principal: AgentPrincipal) -> ProbeSet:
        """Return what the agent is to run now, as the database has it."""
        ...

    async def store(
        self, principal: AgentPrincipal, results: Sequence[ProbeResult]
    ) -> list[Refusal]:
        """Store results and return those refused, after the commit; raises Unavailable."""
        ...

    def hosts_changed(self, tenant_id: str) -> None:
        """Work out anew who probes what, after the commit of the caller's transaction."""
        ...


_provider: ProbeProvider | None = None

_one = msgspec.json.Decoder(ProbeResult)
_many = msgspec.json.Decoder(list[ProbeResult])
_pieces = msgspec.json.Decoder(list[msgspec.Raw])


class _Numbered(msgspec.Struct):
    """The one field that a broken result is confirmed by."""

    seq: int


_numbered = msgspec.json.Decoder(_Numbered)


def register(provider: ProbeProvider) -> None:
    """Set who knows the probes."""
    global _provider
    _provider = provider


def revision(agent_id: str) -> int:
    """Return the number of the agent's set of probes, 0 while it is not known."""
    return _provider.revision(agent_id) if _provider else 0


def hosts_changed(tenant_id: str) -> None:
    """Say, in the transaction, that a host of the tenant is to probe more, less or nothing."""
    if _provider:
        _provider.hosts_changed(tenant_id)


async def list_probes(
    principal: AgentPrincipal, scope: Scope, _receive: Receive, send: Send
) -> None:
    """Answer which probes the agent runs; 304 while it knows them."""
    named = query_of(scope).get("agent_id", principal.agent_id)
    if named != principal.agent_id:
        raise Forbidden("The credential belongs to another agent.", code="agent_mismatch")
    found = await _provider.probe_set(principal) if _provider else ProbeSet(revision=0)
    etag = b'"%d"' % found.revision
    if (b"if-none-match", etag) in scope["headers"]:
        await send_json(send, b"", status=304, headers={b"etag": etag})
        return
    await send_json(send, msgspec.json.encode(found), headers={b"etag": etag})


async def take_results(
    principal: AgentPrincipal, scope: Scope, receive: Receive, send: Send
) -> None:
    """Store one result or a list of them; what cannot be stored is confirmed with a reason."""
    require_json(scope)
    results, refusals = read_results(await read_body(scope, receive, MAX_RESULTS_BYTES))
    # A refused result is confirmed too: sent again it would be refused again, for ever.
    acked = [result.seq for result in results] + [refusal.seq for refusal in refusals]
    if results and _provider:
        refusals += await _provider.store(principal, results)
    answer = {"acked": acked, "rejected": [refusal._asdict() for refusal in refusals]}
    await send_json(send, msgspec.json.encode(answer))


def read_results(body: bytes) -> tuple[list[ProbeResult], list[Refusal]]:
    """Return the results of a body and the ones that are not valid but have a number.

    Raises Invalid when nothing in it has a number to confirm it by, TooLarge beyond
    MAX_RESULTS_PER_REQUEST.
    """
    is_list = body.lstrip()[:1] == b"["
    try:
        results = _many.decode(body) if is_list else [_one.decode(body)]
        refusals: list[Refusal] = []
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        results, refusals = _read_each(body, is_list, error)
    if len(results) + len(refusals) > MAX_RESULTS_PER_REQUEST:
        raise TooLarge(f"At most {MAX_RESULTS_PER_REQUEST} results at once.")
    return results, refusals


def _read_each(
    body: bytes, is_list: bool, error: Exception
) -> tuple[list[ProbeResult], list[Refusal]]:
    """Read results one by one, so that a broken one does not hold up the others."""
    try:
        pieces = _pieces.decode(body) if is_list else [msgspec.Raw(body)]
    except (msgspec.MsgspecError, ValueError, RecursionError) as broken:
        raise Invalid("The body is not valid JSON.", code="malformed") from broken
    results: list[ProbeResult] = []
    refusals: list[Refusal] = []
    for piece in pieces[: MAX_RESULTS_PER_REQUEST + 1]:
        try:
            results.append(_one.decode(piece))
        except (msgspec.MsgspecError, ValueError, RecursionError) as reason:
            error = reason
            if (seq := _seq_of(piece)) is not None:
                detail = str(reason)[:MAX_DETAIL_CHARACTERS]
                refusals.append(Refusal(seq, "invalid", detail))
    if not results and not refusals and pieces:
        raise Invalid(f"This is no result: {str(error)[:MAX_DETAIL_CHARACTERS]}") from error
    return results, refusals


def _seq_of(piece: msgspec.Raw) -> int | None:
    """Return the number of a result that is otherwise broken."""
    try:
        return _numbered.decode(piece).seq
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
