"""The first start: an enrolment token becomes this host's own id and credential.

Later starts need nothing: the identity is on disk. A token that the server refuses ends
the agent with a clear message; a server that does not answer, or is busy, is tried again
and again.
Repeating a registration whose answer got lost is safe: the server knows the instance.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agent_client.addresses import is_loopback
from agent_client.catalogue import announce
from agent_client.config import AgentConfig
from agent_client.errors import Terminal
from agent_client.state import Identity, StateDirectory
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import (
    ANSWER_TIMEOUT_SECONDS,
    BUSY,
    CONNECT_TIMEOUT_SECONDS,
    ConnectionFailed,
    retry_after,
)
from agent_client.transport.trust import Trust

logger = logging.getLogger(__name__)

PATH = "/api/v1/agents/register/"


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The server's answer to a registration."""

    agent_id: str
    agent_token: str
    heartbeat_interval: float | None = None


class Reply(NamedTuple):
    """An answer of HTTP; retry_after_seconds is how long the server wants to be left alone."""

    status: int
    body: bytes
    retry_after_seconds: float | None = None


class _ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The server's error; anything else that answers leaves it empty."""

    code: str = ""
    detail: str = ""


def stored_identity(config: AgentConfig, state: StateDirectory) -> Identity | None:
    """Return the identity when this host has one, None when it has to register first.

    A token in the configuration replaces the stored one: it was renewed by hand.
    """
    identity = state.load_identity()
    token = config.identification.agent_token
    if identity is not None and token:
        return msgspec.structs.replace(identity, agent_token=token)
    return identity


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the enrolment token is for the named server only."""

    def redirect_request(self, *_args: Any, **_options: Any) -> None:
        """Leave the redirect as the answer."""


def trust_of(config: AgentConfig, identity: Identity | None = None) -> Trust:
    """Return which certificate is believed: as configured, else as at the registration."""
    connection = config.connection
    if connection.server_fingerprint or connection.ca_file or identity is None:
        return Trust(connection.ca_file, connection.server_fingerprint)
    return Trust(Path(identity.ca_file) if identity.ca_file else None, identity.fingerprint)


def post_json(url: str, body: bytes, trust: Trust = Trust()) -> Reply:  # noqa: B008
    """Post a JSON body and return the answer, whatever its status; raises ConnectionFailed.

    By the standard library: this happens once in the life of a host, and the memory of a
    richer client would stay for all of it.
    """
    request = urllib.request.Request(  # noqa: S310 - the configuration admits http and https only
        url, data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    handlers: list[urllib.request.BaseHandler] = []
    if is_loopback(url):
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        context = trust.context_for(url)
        if context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers, NoRedirect)
        timeout_seconds = CONNECT_TIMEOUT_SECONDS + ANSWER_TIMEOUT_SECONDS
        with opener.open(request, timeout=timeout_seconds) as answer:
            return Reply(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            after = retry_after(error.headers.get("Retry-After", ""))
            return Reply(error.code, error.read(), after)
    except (OSError, ValueError) as error:
        raise ConnectionFailed(str(getattr(error, "reason", error))) from error


async def register(
    config: AgentConfig,
    *,
    state: StateDirectory,
    backoff: Backoff,
    system: Mapping[str, Any],
    post: Callable[[str, bytes, Trust], Reply] = post_json,
) -> Identity:
    """Register this host and return its stored identity; raises Terminal when refused."""
    if not config.enroll_token:
        raise Terminal(code="not_enrolled")
    instance_id, trust = state.instance_id(), trust_of(config)
    body = msgspec.json.encode(
        {
            "enroll_token": config.enroll_token,
            "name": config.identification.agent_name,
            "instance_id": instance_id,
            "system": dict(system),
            "labels": dict(config.labels),
        }
    )
    while True:
        server = backoff.address
        try:
            answer = read_answer(await asyncio.to_thread(post, server + PATH, body, trust))
        except ConnectionFailed as error:
            await _pause(backoff, server, error)
            continue
        identity = Identity(
            instance_id=instance_id,
            agent_id=answer.agent_id,
            agent_token=answer.agent_token,
            server=server,
            fingerprint=trust.fingerprint,
            ca_file=str(trust.ca_file or ""),
            heartbeat_interval=answer.heartbeat_interval,
        )
        await asyncio.to_thread(state.save_identity, identity)
        name = config.identification.agent_name
        announce(logger, "registered", agent_id=identity.agent_id, name=name)
        return identity


async def _pause(backoff: Backoff, server: str, error: ConnectionFailed) -> None:
    """Wait for the next try and say so."""
    pause_seconds = backoff.failed(at_least_seconds=error.retry_after_seconds or 0.0)
    if error.code == error.default_code:
        announce(logger, "disconnected", server=server, error=error.detail)
    else:
        announce(logger, "error", code=error.code, detail=error.detail, remedy=error.remedy)
    announce(
        logger,
        "reconnecting",
        seconds=pause_seconds,
        server=backoff.address,
        attempt=backoff.failures,
    )
    await asyncio.sleep(pause_seconds)


def read_answer(reply: Reply) -> Registration:
    """Return the registration; raises Terminal when refused and ConnectionFailed else."""
    status = reply.status
    if status in (200, 201):
        try:
            return msgspec.json.decode(reply.body, type=Registration)
        except msgspec.MsgspecError as error:
            raise ConnectionFailed(str(error), code="server_answer_invalid") from error
    try:
        problem = msgspec.json.decode(reply.body, type=_ErrorBody)
    except msgspec.MsgspecError:
        problem = _ErrorBody()
    if status in BUSY:
        after = reply.retry_after_seconds
        raise ConnectionFailed(problem.detail, code="server_busy", retry_after_seconds=after)
    detail = problem.detail or f"The server answered HTTP {status}."
    if status in (400, 401, 403, 404, 409, 410, 413, 422):
        raise Terminal(detail, code="enrollment_refused")
    raise ConnectionFailed(detail)
