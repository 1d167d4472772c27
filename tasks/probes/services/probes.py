"""Make, change, pause and delete probes.

Every change bumps the probe's version and the tenant's stamp in one transaction; agents
learn of it by their next beat at the latest. Saving what is stored already changes nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from agents.models import Agent
from dialer_platform.accounts.models import Tenant
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, NotFound
from dialer_platform.storage import write_transaction
from tasks.probes import events
from tasks.probes.assignment import Wish, runs
from tasks.probes.choices import PUSH_KIND, State
from tasks.probes.models import Incident, Location, Probe, ProbeQuota
from tasks.probes.services.parents import set_parents
from tasks.probes.services.stamps import stamp
from tasks.probes.services.validation import Cleaned, clean_changes, clean_new

RELATED = frozenset({"agents", "parents"})
PLAIN = (
    "name",
    "kind",
    "target",
    "interval",
    "timeout",
    "config",
    "enabled",
    "labels",
    "tags",
    "policy",
    "fail_threshold",
    "recover_threshold",
)
"""The columns that a person decides about."""


def create_probe(*, principal: Principal, fields: Mapping[str, Any]) -> Probe:
    """Store a probe; raises Invalid, NotFound for an unknown agent, Conflict over the quota.

    A probe of kind push carries its new token as `push_token`, this once.
    """
    cleaned = clean_new(fields)
    with write_transaction():
        ensure_quota(principal.tenant_id, 1)
        probe = Probe(
            tenant_id=principal.tenant_id,
            created_by=principal.user,
            state=State.PENDING if cleaned["enabled"] else State.PAUSED,
            state_since=timezone.now(),
            **{name: cleaned[name] for name in PLAIN},
        )
        token = renew_push_token(probe) if probe.kind == PUSH_KIND else ""
        probe.save()
        _set_agents(probe, cleaned["agents"])
        set_parents(probe, cleaned["parents"])
        audit.record(principal, "probe.create", probe, {"kind": probe.kind})
        _announce(probe)
    probe.push_token = token  # type: ignore[attr-defined]
    return probe


def update_probe(probe: Probe, *, by: Principal, fields: Mapping[str, Any]) -> Probe:
    """Change what the fields name; raises as create_probe does."""
    with write_transaction():
        found = _locked(probe)
        changes = clean_changes(fields, current=current_fields(found))
        names = _apply(found, changes)
        if names:
            audit.record(by, "probe.change", found, {"fields": sorted(names)})
            _announce(found)
    return found


def delete_probe(probe: Probe, *, by: Principal) -> None:
    """Delete a probe with its states and incidents; its results go with their retention."""
    with write_transaction():
        found = _locked(probe)
        audit.record(by, "probe.delete", found, {"name": found.name, "kind": found.kind})
        _announce(found)
        found.delete()


def new_push_token(probe: Probe, *, by: Principal) -> str:
    """Give a push probe another token and return it; the old one ends at once."""
    if probe.kind != PUSH_KIND:
        raise Conflict(_("Only a probe of kind push has a token."), code="not_push")
    with write_transaction():
        found = _locked(probe)
        token = renew_push_token(found)
        found.save(update_fields=["push_token_sha256"])
        audit.record(by, "probe.push_token", found)
    return token


def ensure_quota(tenant_id: str, more: int) -> None:
    """Raise Conflict when the tenant may not have so many probes more; in a transaction.

    Locks the tenant's row, so that two requests cannot both take the last place.
    """
    Tenant.objects.select_for_update().get(pk=tenant_id)
    own = ProbeQuota.objects.filter(tenant_id=tenant_id).values_list("max_probes", flat=True)
    limit = next(iter(own), settings.MAX_PROBES_PER_TENANT)
    if Probe.objects.of_tenant(tenant_id).count() + more > limit:
        sentence = _("At most %(limit)d probes: delete some, or ask for a larger quota.")
        raise Conflict(sentence % {"limit": limit}, code="probe_quota")


def current_fields(probe: Probe) -> dict[str, Any]:
    """Return the probe's own fields as they are stored."""
    return {name: getattr(probe, name) for name in PLAIN}


def push_digest(token: str) -> str:
    """Return what is stored of a push token."""
    return hashlib.sha256(token.encode()).hexdigest()


def renew_push_token(probe: Probe) -> str:
    """Set a new token on the unsaved row and return it."""
    token = f"dpp_{secrets.token_urlsafe(24)}"
    probe.push_token_sha256 = push_digest(token)
    return token


def _apply(probe: Probe, changes: Cleaned) -> list[str]:
    """Store what differs and return its names; the version grows only then."""
    current = current_fields(probe)
    names = [name for name in changes if name in current and changes[name] != current[name]]
    related = _apply_related(probe, changes)
    if not names and not related:
        return []
    plain = {name: changes[name] for name in names}
    if "enabled" in plain:
        plain |= _enabled_changes(probe, is_enabled=plain["enabled"])
    Probe.objects.filter(pk=probe.pk).update(**plain, version=F("version") + 1)
    probe.refresh_from_db()
    if {"agents", "labels"} & {*names, *related}:
        _forget_locations(probe)
    return [*names, *related]


def _forget_locations(probe: Probe) -> None:
    """Delete what hosts saw that no longer run the probe: they will never speak again."""
    ids = frozenset(probe.agents.values_list("pk", flat=True))
    wish = Wish(probe.pk, 0, ids, tuple(probe.labels.items()))
    for location in probe.locations.exclude(agent=None).select_related("agent"):
        agent = location.agent
        if agent and not runs(wish, agent.pk, agent.labels or {}):
            location.delete()


def _apply_related(probe: Probe, changes: Cleaned) -> list[str]:
    """Store agents and parents where they differ, and return which did."""
    changed = []
    if "agents" in changes and set(changes["agents"]) != _ids(probe.agents):
        _set_agents(probe, changes["agents"])
        changed.append("agents")
    if "parents" in changes and set(changes["parents"]) != _ids(probe.parents):
        set_parents(probe, changes["parents"])
        changed.append("parents")
    return changed


def _ids(related: Any) -> set[Any]:
    """Return the keys of related rows."""
    return set(related.values_list("pk", flat=True))


def _enabled_changes(probe: Probe, *, is_enabled: bool) -> dict[str, Any]:
    """Return the columns that pausing or resuming changes; closes what a pause ends."""
    now = timezone.now()
    if not is_enabled:
        ended = Incident.objects.filter(probe=probe, ended_at=None)
        ended.update(ended_at=now, ended_by="paused")
    # What was believed before the pause says nothing about now.
    fresh = {"state": State.PENDING, "state_since": now, "failures": 0, "successes": 0}
    Location.objects.filter(probe=probe).update(**fresh, history="")
    state = State.PENDING if is_enabled else State.PAUSED
    return {"state": state, "state_since": now, "is_flapping": False}


def _set_agents(probe: Probe, agent_ids: list[str]) -> None:
    """Store which agents run it; raises NotFound for one that the tenant does not have."""
    hosts = Agent.objects.of_tenant(probe.tenant_id).hosts().enrolled()
    found = list(hosts.filter(id__in=agent_ids))
    if len(found) != len(agent_ids):
        sentence = _("There is no such agent.")
        raise NotFound(sentence, code="agent_not_found", fields={"agents": [sentence]})
    probe.agents.set(found)


def _locked(probe: Probe) -> Probe:
    """Return the row as it is now, locked; raises NotFound when it was deleted meanwhile."""
    found = Probe.objects.select_for_update().filter(pk=probe.pk).first()
    if found is None:
        raise NotFound(_("There is no such probe."))
    return found


def _announce(probe: Probe) -> None:
    """Have agents and pages learn of a change."""
    stamp(probe.tenant_id)
    events.probes_changed([probe.pk], tenant_id=probe.tenant_id)
