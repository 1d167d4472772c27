"""Test a target now, out of turn: ask one host, keep its answer, count it nowhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from agent_client.protocol.probes import ProbeResult
from agents import database_clock
from agents.models import Agent
from agents.principal import AgentPrincipal
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, NotFound, TooMany
from dialer_platform.storage import write_transaction
from tasks.probes import assignment, events, sets
from tasks.probes.choices import PUSH_KIND
from tasks.probes.ingest.judging import details_json, outcome_of, phases_json
from tasks.probes.models import Probe, ProbeRunRequest
from tasks.probes.services.stamps import stamp
from tasks.probes.services.validation import clean_new

EXPIRE_SECONDS = 60
KEEP = timedelta(hours=1)
MAX_OPEN_PER_TENANT = 100


def run_probe(probe: Probe, *, by: Principal, agent_id: str = "") -> ProbeRunRequest:
    """Ask a host to run a stored probe now; by default one that runs it anyway.

    Raises NotFound for an unknown host, Conflict when none is online, TooMany.
    """
    if probe.kind == PUSH_KIND:
        raise Conflict(_("The target of this probe reports itself."), code="not_runnable")
    task = _plain(sets.task_of(probe))
    return _ask(task, by=by, agent=_choose(by.tenant_id, agent_id, probe), probe=probe)


def run_unsaved(*, by: Principal, fields: Mapping[str, Any], agent_id: str = "") -> ProbeRunRequest:
    """Ask a host to run a probe that is not stored; raises Invalid as creating it would."""
    cleaned = clean_new({"name": "-", "interval": 60, **fields})
    if cleaned["kind"] == PUSH_KIND:
        raise Conflict(_("The target of this probe reports itself."), code="not_runnable")
    unsaved = Probe(
        tenant_id=by.tenant_id,
        version=0,
        **{name: cleaned[name] for name in ("kind", "target", "interval", "timeout", "config")},
    )
    return _ask(_plain(sets.task_of(unsaved)), by=by, agent=_choose(by.tenant_id, agent_id))


def answer_all(answers: Sequence[tuple[AgentPrincipal, ProbeResult]]) -> None:
    """Keep what hosts found out; an unknown, foreign or answered request changes nothing."""
    if not answers:
        return
    now = database_clock.now()
    with write_transaction():
        for principal, result in answers:
            open_ones = ProbeRunRequest.objects.filter(
                pk=result.request_id, agent_id=principal.agent_id, answered_at=None
            )
            found = open_ones.first()
            if found is None:
                continue
            open_ones.update(answered_at=now, result=result_json(result))
            stamp(found.tenant_id)
            if found.probe_id:
                events.probes_changed([found.probe_id], tenant_id=found.tenant_id)


def delete_old_requests() -> int:
    """Delete requests of more than an hour ago; housekeeping."""
    with write_transaction():
        old = ProbeRunRequest.objects.filter(created_at__lt=database_clock.now() - KEEP)
        return old.delete()[0]


def result_json(result: ProbeResult) -> dict[str, Any]:
    """Return a result in the API's words."""
    outcome = outcome_of(result)
    return {
        "success": outcome in {"up", "degraded"},
        "outcome": outcome,
        "reason": result.reason,
        "phase": result.phase,
        "started_at": result.started_at,
        "duration_seconds": result.duration_seconds,
        "phases": json.loads(phases_json(result.phases)),
        "error": result.error[:1000].replace("\x00", "\ufffd"),
        "details": json.loads(details_json(result.details)),
    }


def _ask(
    task: dict[str, Any], *, by: Principal, agent: Agent, probe: Probe | None = None
) -> ProbeRunRequest:
    """Store the request and ring the host; raises TooMany."""
    now = database_clock.now()
    with write_transaction():
        if sets.open_requests().filter(tenant_id=by.tenant_id).count() >= MAX_OPEN_PER_TENANT:
            raise TooMany(_("Too many tests wait for their hosts; try again in a minute."))
        request = ProbeRunRequest.objects.create(
            tenant_id=by.tenant_id,
            probe=probe,
            agent=agent,
            task=task,
            expires_at=now + timedelta(seconds=EXPIRE_SECONDS),
        )
        audit.record(by, "probe.run", probe, {"agent": agent.pk, "target": task["target"][:200]})
        stamp(by.tenant_id)
    return request


def _choose(tenant_id: str, agent_id: str, probe: Probe | None = None) -> Agent:
    """Return the host that is asked: the one named, else one online, else raise Conflict."""
    hosts = Agent.objects.of_tenant(tenant_id).hosts().enrolled()
    if agent_id:
        named = hosts.filter(pk=agent_id).first()
        if named is None:
            sentence = _("There is no such agent.")
            raise NotFound(sentence, code="agent_not_found", fields={"agent_id": [sentence]})
        return named
    online = list(hosts.online().order_by("id"))
    if probe is not None:
        ids = frozenset(probe.agents.values_list("pk", flat=True))
        wish = assignment.Wish(probe.pk, 0, ids, tuple(probe.labels.items()))
        online = [one for one in online if assignment.runs(wish, one.pk, one.labels or {})]
    if not online:
        raise Conflict(_("No agent that could run it is online."), code="no_agent_online")
    return online[0]


def _plain(task: Any) -> dict[str, Any]:
    """Return a ProbeTask as plain JSON."""
    return {name: getattr(task, name) for name in task.__struct_fields__}
