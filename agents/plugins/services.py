"""Verbs on the plug-ins of hosts: set and remove, on one host or on all that carry labels.

Each is one transaction with its audit; hosts hear of it after the commit. What a plug-in
makes of its configuration only its agent can tell, which says so in its state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from agents import events
from agents.models import Agent
from agents.plugins import wanted
from agents.plugins.choices import (
    BUILT_IN,
    DEFAULT_INTERVAL_SECONDS,
    MAX_CONFIG_BYTES,
    MAX_INTERVAL_SECONDS,
    MAX_PLUGINS_PER_AGENT,
    MIN_INTERVAL_SECONDS,
    NAME,
    OFFERED,
)
from agents.plugins.models import AgentPlugin, PluginDuty, PluginPackage
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid, NotFound
from dialer_platform.storage import write_transaction

ROWS_AT_ONCE = 500
MAX_HOSTS_AT_ONCE = 2_000
MAX_NESTING = 20


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a plug-in; None keeps what it has, or takes the default.

    package_id 0 takes the package away.
    """

    enabled: bool | None = None
    interval_seconds: float | None = None
    config: Mapping[str, Any] | None = None
    package_id: int | None = None


def set_plugin(agent: Agent, name: str, *, by: Principal | str, change: Change) -> AgentPlugin:
    """Make or change one plug-in of one host; raises Invalid, NotFound, Conflict."""
    with write_transaction():
        _set([agent], name, by=by, change=change)
        audit.record(by, "plugin.change", agent, {"plugin": name, **_audited(change)})
    return AgentPlugin.objects.select_related("package").get(agent_id=agent.pk, name=name)


def set_plugin_by_labels(
    *,
    tenant_id: str,
    labels: Mapping[str, str],
    name: str,
    by: Principal | str,
    change: Change,
) -> list[str]:
    """Make or change a plug-in on every host that carries all the labels; return their ids.

    No labels mean every host of the tenant. Hosts enrolled later are not included.
    """
    with write_transaction():
        hosts = _hosts_with(tenant_id, labels)
        _set(hosts, name, by=by, change=change)
        detail = {"plugin": name, "labels": dict(labels), "hosts": len(hosts), **_audited(change)}
        audit.record(by, "plugin.change", None, detail, tenant_id=tenant_id)
    return [host.id for host in hosts]


def remove_plugin_by_labels(
    *, tenant_id: str, labels: Mapping[str, str], name: str, by: Principal | str
) -> list[str]:
    """Remove a plug-in from every host that carries all the labels; return who had it."""
    with write_transaction():
        hosts = _hosts_with(tenant_id, labels)
        having = set(
            AgentPlugin.objects.filter(tenant_id=tenant_id, name=name).values_list(
                "agent_id", flat=True
            )
        )
        found = [host for host in hosts if host.id in having]
        for chunk in _chunks(found):
            AgentPlugin.objects.filter(name=name, agent__in=chunk).delete()
        _renumber(found)
        detail = {"plugin": name, "labels": dict(labels), "hosts": len(found)}
        audit.record(by, "plugin.remove", None, detail, tenant_id=tenant_id)
    return [host.id for host in found]


def activate_built_in(agent: Agent, *, by: Principal | str) -> None:
    """Activate the plug-ins that work without a configuration; what they had they keep."""
    with write_transaction():
        for name in OFFERED:
            _set([agent], name, by=by, change=Change(enabled=True))
        audit.record(by, "plugin.change", agent, {"plugin": list(OFFERED), "enabled": True})


def remove_plugin(agent: Agent, name: str, *, by: Principal | str) -> None:
    """Forget a plug-in of a host with its configuration; its samples stay until they age.

    A built-in one that was never asked for is removed already; raises NotFound for others.
    """
    with write_transaction():
        if not AgentPlugin.objects.filter(agent_id=agent.pk, name=name).delete()[0]:
            if name in BUILT_IN:
                return
            raise NotFound("The agent has no such plug-in.")
        _renumber([agent])
        audit.record(by, "plugin.remove", agent, {"plugin": name})


def check_change(name: str, change: Change) -> dict[str, list[str]]:
    """Return what is wrong with a name and a change, by field."""
    wrong: dict[str, list[str]] = {}
    if not NAME.fullmatch(name):
        wrong["name"] = ["Begin with a letter; small letters, digits and _; at most 40."]
    seconds = change.interval_seconds
    if seconds is not None and not _is_interval(seconds):
        wrong["interval_seconds"] = ["Must be 1 second to 1 day."]
    if change.config is not None and (sentence := _config_error(change.config)):
        wrong["config"] = [sentence]
    if name in BUILT_IN and change.package_id:
        wrong["package"] = ["This plug-in comes with the agent and takes no package."]
    return wrong


def _is_interval(seconds: float) -> bool:
    return math.isfinite(seconds) and MIN_INTERVAL_SECONDS <= seconds <= MAX_INTERVAL_SECONDS


def _config_error(config: Mapping[str, Any]) -> str:
    """Return what is wrong with a configuration, "" if nothing is."""
    if not isinstance(config, Mapping):
        return "Must be an object of JSON."
    try:
        size = len(msgspec.json.encode(config))
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return "Must be an object of JSON."
    if size > MAX_CONFIG_BYTES:
        return f"At most {MAX_CONFIG_BYTES // 1024} KiB."
    if "\0" in repr(config) or r"\x00" in repr(config):
        return "Must not contain the character NUL."  # PostgreSQL stores none
    return "" if _depth(config) <= MAX_NESTING else "Too deeply nested."


def _depth(value: Any) -> int:
    """Return how deeply a value of JSON is nested; it was encoded before, so it ends."""
    if isinstance(value, Mapping):
        return 1 + max((_depth(one) for one in value.values()), default=0)
    if isinstance(value, list | tuple):
        return 1 + max((_depth(one) for one in value), default=0)
    return 0


def _set(hosts: Sequence[Agent], name: str, *, by: Principal | str, change: Change) -> None:
    """Write the plug-in's row of each host, inside the caller's transaction."""
    if wrong := check_change(name, change):
        raise Invalid("The plug-in cannot be set so.", fields=wrong)
    _require_hosts(hosts)
    if not hosts:
        return
    change = replace(change, package_id=_package_id(hosts[0].tenant_id, name, change.package_id))
    known: dict[str, AgentPlugin] = {}
    for chunk in _chunks(hosts):
        rows = AgentPlugin.objects.filter(name=name, agent__in=chunk)
        known.update((row.agent_id, row) for row in rows)
    _require_room([host for host in hosts if host.id not in known])
    fresh = [_row(host, name, known.get(host.id)) for host in hosts]
    for row in fresh:
        _apply(row, change, by=by)
    AgentPlugin.objects.bulk_create(
        [row for row in fresh if row.pk is None], batch_size=ROWS_AT_ONCE
    )
    AgentPlugin.objects.bulk_update(
        [row for row in fresh if row.agent_id in known],
        ["enabled", "interval_seconds", "config", "package", "updated_at", "updated_by"],
        batch_size=ROWS_AT_ONCE,
    )
    _renumber(hosts)


def _row(host: Agent, name: str, known: AgentPlugin | None) -> AgentPlugin:
    """Return the known row of a host, or a new one."""
    return known or AgentPlugin(
        tenant_id=host.tenant_id,
        agent_id=host.id,
        name=name,
        interval_seconds=DEFAULT_INTERVAL_SECONDS,
    )


def _apply(row: AgentPlugin, change: Change, *, by: Principal | str) -> None:
    """Put a change into a row; raises Invalid when the plug-in would have nothing to run."""
    if change.enabled is not None:
        row.enabled = change.enabled
    if change.interval_seconds is not None:
        row.interval_seconds = float(change.interval_seconds)
    if change.config is not None:
        row.config = dict(change.config)
    if change.package_id is not None:
        row.package_id = change.package_id or None
    if row.package_id is None and row.name not in BUILT_IN:
        raise Invalid(
            "The plug-in cannot be set so.",
            fields={"package": ["Only built-in plug-ins need none; choose a package."]},
        )
    row.updated_by = (by.name if isinstance(by, Principal) else str(by))[:200]
    row.updated_at = timezone.now()  # bulk_update does not do it by itself


def _package_id(tenant_id: str, name: str, package_id: int | None) -> int | None:
    """Return the wanted package if the tenant has it under this name; raises Invalid."""
    if not package_id:
        return package_id
    if not PluginPackage.objects.filter(pk=package_id, tenant_id=tenant_id, name=name).exists():
        raise Invalid(
            "The plug-in cannot be set so.",
            fields={"package": ["There is no such package of this plug-in."]},
        )
    return package_id


def _require_hosts(hosts: Sequence[Agent]) -> None:
    """Raise Conflict for revoked hosts, NotFound for sub-agents: they are running tasks."""
    for host in hosts:
        if host.main_agent_id:
            raise NotFound("There is no such host.")
        if host.revoked_at:
            raise Conflict("The agent was revoked.", code="revoked")


def _require_room(hosts: Sequence[Agent]) -> None:
    """Raise Invalid when one of the hosts has as many plug-ins as it may."""
    for chunk in _chunks(hosts):
        counts = AgentPlugin.objects.filter(agent__in=chunk).order_by().values("agent_id")
        full = counts.annotate(number=Count("id")).filter(number__gte=MAX_PLUGINS_PER_AGENT)
        if full.exists():
            raise Invalid(f"A host may have at most {MAX_PLUGINS_PER_AGENT} plug-ins.")


def _hosts_with(tenant_id: str, labels: Mapping[str, str]) -> list[Agent]:
    """Return the enrolled hosts that carry all the labels; raises Invalid for too many."""
    hosts = [
        host
        for host in Agent.objects.of_tenant(tenant_id).hosts().enrolled()
        if all((host.labels or {}).get(name) == word for name, word in labels.items())
    ]
    if len(hosts) > MAX_HOSTS_AT_ONCE:
        # The writer's lock must not be held for minutes.
        raise Invalid(f"At most {MAX_HOSTS_AT_ONCE} hosts at once; narrow it by labels.")
    return hosts


def _renumber(hosts: Collection[Agent]) -> None:
    """Write the numbers of the hosts' sets, and tell them and open pages after the commit."""
    duties: list[PluginDuty] = []
    for chunk in _chunks(list(hosts)):
        sets: dict[str, list[Any]] = {host.id: [] for host in chunk}
        rows = AgentPlugin.objects.filter(agent__in=chunk, enabled=True).select_related("package")
        for row in rows.order_by("name"):
            sets[row.agent_id].append(wanted.wanted_of(row))
        duties += [
            PluginDuty(
                agent_id=host.id,
                tenant_id=host.tenant_id,
                number=wanted.revision_of(sets[host.id]),
                names=[one.name for one in sets[host.id]],
            )
            for host in chunk
        ]
    PluginDuty.objects.bulk_create(
        duties,
        batch_size=ROWS_AT_ONCE,
        update_conflicts=True,
        unique_fields=["agent"],
        update_fields=["number", "names"],
    )
    for one in duties:
        fresh = wanted.Duty(one.number, frozenset(one.names))
        _after_commit(partial(wanted.tell, one.agent_id, fresh))
    for tenant_id in {host.tenant_id for host in hosts}:
        events.agents_changed(tenant_id, [h.id for h in hosts if h.tenant_id == tenant_id])


def _after_commit(call: Callable[[], None]) -> None:
    """Have it called once the transaction is committed."""
    transaction.on_commit(call)


def _chunks(hosts: Sequence[Agent]) -> Iterable[Sequence[Agent]]:
    """Yield the hosts in groups that fit into one query."""
    return (hosts[start : start + ROWS_AT_ONCE] for start in range(0, len(hosts), ROWS_AT_ONCE))


def _audited(change: Change) -> dict[str, Any]:
    """Return what the audit keeps of a change: of a configuration its fields, not its values.

    Values may be secrets, and the audit is never deleted.
    """
    facts: dict[str, Any] = {
        "enabled": change.enabled,
        "interval_seconds": change.interval_seconds,
        "package": change.package_id,
        "config": sorted(change.config) if change.config is not None else None,
    }
    return {name: value for name, value in facts.items() if value is not None}
