"""The agents' endpoints of plug-ins: their set, their samples, their packages.

An agent gets and brings only its own; a package only while it is wanted on that host.
"""

from __future__ import annotations

import re
import time
from collections import Counter

import msgspec

from agents import credentials, offload
from agents.plugins import descriptions, packages, store, wanted
from agents.plugins.budget import Budgets
from agents.plugins.intake import Intake, read_samples
from agents.plugins.models import PluginDuty, PluginPackage
from agents.principal import AgentPrincipal
from agents.raw_http import (
    Handler,
    MethodNotAllowed,
    Receive,
    Scope,
    Send,
    bearer,
    query_of,
    read_body,
    require_json,
    send_json,
)
from dialer_platform.errors import Forbidden, NotFound, TooLarge, TooMany

MAX_SAMPLES_BYTES = 2 * 1024 * 1024
"""Twice what an agent sends at once."""
CHUNK_BYTES = 256 * 1024
LOOK_AGAIN_SECONDS = 1.0
MAX_LOOKED_AT = 20_000
PACKAGES_PREFIX = "/api/v1/plugins/packages/"
_PACKAGE_PATH = re.compile(PACKAGES_PREFIX + r"([0-9a-f]{64})")
_looked_at: dict[str, float] = {}
budgets = Budgets()
refused_requests: Counter[str] = Counter()
"""Requests with samples that were too large or too many, by code, since the start."""


async def list_plugins(
    principal: AgentPrincipal, scope: Scope, _receive: Receive, send: Send
) -> None:
    """Answer which plug-ins the agent is to run; 304 while it knows them."""
    named = query_of(scope).get("agent_id", principal.agent_id)
    if named != principal.agent_id:
        raise Forbidden("The credential belongs to another agent.", code="agent_mismatch")
    found = await offload.run(wanted.read_set, principal.agent_id, principal.tenant_id)
    etag = b'"%d"' % found.revision
    if (b"if-none-match", etag) in scope["headers"]:
        await send_json(send, b"", status=304, headers={b"etag": etag})
        return
    await send_json(send, msgspec.json.encode(found), headers={b"etag": etag})


async def take_samples(
    principal: AgentPrincipal, scope: Scope, receive: Receive, send: Send
) -> None:
    """Take a list of samples; what cannot be used is refused one by one with a reason."""
    require_json(scope)
    try:
        body = await read_body(scope, receive, MAX_SAMPLES_BYTES)
        with budgets.turn(principal.agent_id) as turn:
            turn.charge(size_bytes=len(body))
            # In a thread: reading megabytes must not stand before the beats of others.
            intake = await offload.run(_take, principal, body)
            turn.charge(values=intake.values)
    except (TooLarge, TooMany) as error:
        refused_requests[error.code] += 1
        raise
    answer = {
        "accepted": len(intake.samples),
        "refused": [one._asdict() for one in intake.refused],
    }
    await send_json(send, msgspec.json.encode(answer))


def _take(principal: AgentPrincipal, body: bytes) -> Intake:
    """Read a body and keep its samples; raises TooMany, TooLarge, Invalid."""
    store.waiting.check_room(principal.agent_id)
    names, now = wanted.duty(principal.agent_id).names, time.time()
    intake = read_samples(body, is_wanted=lambda name: name in names, now=now)
    if any(one.code == "not_wanted" for one in intake.refused) and _may_look(principal.agent_id):
        # The plug-in may have become active in another process a moment ago.
        names = _active_names(principal.agent_id)
        intake = read_samples(body, is_wanted=lambda name: name in names, now=now)
    store.add(principal.agent_id, intake.samples, tenant_id=principal.tenant_id)
    for sample in intake.samples:
        if sample.about:
            descriptions.note(principal.agent_id, sample.plugin, sample.about)
    return intake


def find_package(scope: Scope) -> Handler | None:
    """Return the handler of a package's bytes, None for the paths of people's REST."""
    if not _PACKAGE_PATH.fullmatch(scope["path"]):
        return None
    return send_package if scope["method"] == "GET" else _refuse_method


async def send_package(scope: Scope, _receive: Receive, send: Send) -> None:
    """Send the bytes of a package that is wanted on the agent that asks."""
    principal = await credentials.authenticate(bearer(scope))
    match = _PACKAGE_PATH.fullmatch(scope["path"])
    assert match is not None  # noqa: S101 - find_package looked
    data = await offload.run(_read_package, principal, match[1])
    head = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for start in range(0, len(data), CHUNK_BYTES):
        piece = data[start : start + CHUNK_BYTES]
        more = start + CHUNK_BYTES < len(data)
        await send({"type": "http.response.body", "body": piece, "more_body": more})


def _read_package(principal: AgentPrincipal, sha256: str) -> bytes:
    """Return a package's bytes; raises NotFound unless it is wanted on the host."""
    package = PluginPackage.objects.filter(
        tenant_id=principal.tenant_id,
        sha256=sha256,
        uses__agent_id=principal.agent_id,
        uses__enabled=True,
    ).first()
    if package is None:
        raise NotFound("No such package is wanted on this host.")
    return packages.read(package)


def _active_names(agent_id: str) -> frozenset[str]:
    """Return the names of the host's active plug-ins, as the database has them."""
    names: list[str] | None = (
        PluginDuty.objects.filter(agent_id=agent_id).values_list("names", flat=True).first()
    )
    return frozenset(names or ())


def _may_look(agent_id: str) -> bool:
    """Return whether a surprising sample is worth a query: once a second for each agent."""
    now = time.monotonic()
    if now - _looked_at.get(agent_id, float("-inf")) < LOOK_AGAIN_SECONDS:
        return False
    if len(_looked_at) > MAX_LOOKED_AT:
        _looked_at.clear()
    _looked_at[agent_id] = now
    return True


async def _refuse_method(scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer 405."""
    raise MethodNotAllowed(f"{scope['method']} is not allowed here.")
