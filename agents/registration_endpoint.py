"""POST agents/register/: a host exchanges its enrolment token for its own credential."""

from __future__ import annotations

import json
from typing import Any

from agents import offload, pace
from agents.raw_http import (
    Receive,
    Scope,
    Send,
    client_address,
    read_body,
    read_object,
    require_json,
    send_json,
)
from agents.registration_limit import limit
from agents.services import enrolment
from dialer_platform.errors import Invalid

MAX_BODY_BYTES = 64 * 1024
TEXT_FIELDS = ("enroll_token", "name", "instance_id")


async def register(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer `{agent_id, agent_token, heartbeat_interval}`: 201 for a new host, else 200."""
    require_json(scope)
    values = read_fields(read_object(await read_body(scope, receive, MAX_BODY_BYTES)))
    address = client_address(scope)
    with limit.attempt(address):
        registration = await offload.run(
            enrolment.register,
            token=values["enroll_token"],
            name=values["name"],
            instance_id=values["instance_id"],
            system=values["system"],
            address=address,
        )
    body = {
        "agent_id": registration.agent.id,
        "agent_token": registration.agent_token,
        "tenant_id": registration.agent.tenant_id,
        "heartbeat_interval": pace.heartbeat_interval(),
    }
    status = 201 if registration.is_new else 200
    await send_json(send, json.dumps(body).encode(), status=status)


def read_fields(body: dict[str, Any]) -> dict[str, Any]:
    """Return the four fields with their types checked; raises Invalid by field."""
    fields: dict[str, list[str]] = {}
    for name in TEXT_FIELDS:
        value = body.get(name)
        if value is None:
            fields[name] = ["This field is required."]
        elif not isinstance(value, str) or "\0" in value:
            fields[name] = ["Must be a text."]
    system = body.get("system") or {}
    if not isinstance(system, dict):
        fields["system"] = ["Must be an object."]
    if fields:
        raise Invalid("The registration is not valid.", fields=fields)
    return {**{name: body[name] for name in TEXT_FIELDS}, "system": system}
