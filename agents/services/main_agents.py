"""Verbs on hosts: make, change, drain, pause, resume, revoke."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from agents import delivery, events, fleet, hot, probe_duty
from agents.choices import AgentStatus, AgentType
from agents.labels import label_errors, merged_labels, name_errors
from agents.models import Agent
from agents.models.agent import new_agent_id
from agents.system_facts import bounded_system
from dialer_platform.accounts import secrets
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid, NotFound
from dialer_platform.storage import write_transaction

MAX_REASON = 200
CHANGEABLE_FIELDS = frozenset({"name", "labels"})


def create_main_agent(
    *,
    tenant_id: str,
    name: str,
    labels: Mapping[str, str] | None = None,
    system: Mapping[str, Any] | None = None,
    instance_id: str = "",
    address: str = "",
) -> tuple[Agent, str]:
    """Return a new host and its credential, which is kept nowhere in the clear."""
    fresh = secrets.make(secrets.AGENT_PREFIX)
    agent_id = new_agent_id()
    with write_transaction():
        agent = Agent.objects.create(
            id=agent_id,
            tenant_id=tenant_id,
            name=name,
            labels=dict(labels or {}),
            given_labels=dict(labels or {}),
            system=bounded_system(system or {}),
            instance_id=instance_id,
            address=address,
            token_public_id=fresh.public_id,
            token_sha256=fresh.secret_sha256,
            monitor_file=f"logs/agents/{agent_id}.jsonl",
        )
        fleet.forget_on_commit(tenant_id)
    return agent, fresh.text


def give_new_credential(agent: Agent) -> str:
    """Replace the host's credential and return the new one; the old one ends at once."""
    fresh = secrets.make(secrets.AGENT_PREFIX)
    agent.token_public_id, agent.token_sha256 = fresh.public_id, fresh.secret_sha256
    agent.token_used = False
    with write_transaction():
        agent.save(update_fields=["token_public_id", "token_sha256", "token_used"])
    return fresh.text


def update_agent(agent: Agent, *, by: Principal | str, **changes: Any) -> Agent:
    """Change the name or the labels of a host.

    The labels are those given here; what the host's own settings say stays below them.
    Raises Invalid for any other field, an empty or long name, too many or long labels, and
    Conflict for a host that was revoked.
    """
    require_host(agent)
    if unknown := set(changes) - CHANGEABLE_FIELDS:
        raise Invalid(
            "This cannot be changed.", fields={name: ["Read-only."] for name in sorted(unknown)}
        )
    wrong = label_errors(changes.get("labels", {}))
    if "name" in changes:
        wrong |= name_errors(changes["name"])
    if wrong:
        raise Invalid("The agent cannot be changed so.", fields=wrong)
    with write_transaction():
        # Locked: a hello may bring other labels of the host at this moment.
        row = Agent.objects.select_for_update().filter(id=agent.id, revoked_at=None).first()
        if row is None:
            raise Conflict("The agent was revoked.", code="revoked")
        columns = dict(changes)
        if "labels" in changes:
            columns["given_labels"] = changes["labels"]
            columns["labels"] = merged_labels(row.host_labels, changes["labels"])
            probe_duty.hosts_changed(agent.tenant_id)
        Agent.objects.filter(id=agent.id).update(**columns)
        audit.record(by, "agent.change", agent, changes)
        _announce(agent)
    agent.refresh_from_db()
    return agent


def drain_agent(agent: Agent, *, by: Principal | str, reason: str = "") -> Agent:
    """Offer the host no new tasks; what runs goes on, and so do its probes."""
    facts = {"is_draining": True, "is_paused": False, "drain_reason": reason[:MAX_REASON]}
    return _set_standing(agent, facts, by=by, reason=reason, action="agent.drain")


def pause_agent(agent: Agent, *, by: Principal | str, reason: str = "") -> Agent:
    """Offer the host no new tasks and let its probes rest; its silence alarms nobody."""
    facts = {"is_draining": True, "is_paused": True, "drain_reason": reason[:MAX_REASON]}
    return _set_standing(agent, facts, by=by, reason=reason, action="agent.pause")


def resume_agent(agent: Agent, *, by: Principal | str, reason: str = "") -> Agent:
    """Offer the host tasks again and have it probe; the reason stands in the audit."""
    facts = {"is_draining": False, "is_paused": False, "drain_reason": ""}
    return _set_standing(agent, facts, by=by, reason=reason, action="agent.resume")


def revoke_agent(agent: Agent, *, by: Principal | str) -> Agent:
    """End the host's credential for good; its sockets close, its row stays for the record.

    Raises Conflict when it was revoked before. The digest is erased with it.
    """
    require_host(agent)
    with write_transaction():
        changed = Agent.objects.filter(id=agent.id, revoked_at=None).update(
            revoked_at=timezone.now(),
            status=AgentStatus.OFFLINE,
            online_since=None,
            is_draining=True,
        )
        if not changed:
            raise Conflict("The agent was revoked before.", code="already_revoked")
        audit.record(by, "agent.revoke", agent)
        _announce(agent)
        transaction.on_commit(partial(delivery.announce_revoked, agent.id))
        transaction.on_commit(partial(hot.forget, agent.id))
    agent.refresh_from_db()
    return agent


def _set_standing(
    agent: Agent, facts: Mapping[str, Any], *, by: Principal | str, reason: str, action: str
) -> Agent:
    """Set what a host that was not revoked is given to do; raises Conflict. Twice is harmless."""
    require_host(agent)
    with write_transaction():
        if not Agent.objects.filter(id=agent.id, revoked_at=None).update(**facts):
            raise Conflict("The agent was revoked.", code="revoked")
        audit.record(by, action, agent, {"reason": reason[:MAX_REASON]} if reason else {})
        _announce(agent)
        probe_duty.hosts_changed(agent.tenant_id)
    agent.refresh_from_db()
    return agent


def _announce(agent: Agent) -> None:
    """Have pages and matcher see the change once it is committed."""
    fleet.forget_on_commit(agent.tenant_id)
    events.agents_changed(agent.tenant_id, [agent.id])


def require_host(agent: Agent) -> None:
    """Raise NotFound for a sub-agent: it is a running task, not a host."""
    if agent.type != AgentType.MAIN:
        raise NotFound("There is no such host.")
