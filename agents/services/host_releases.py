"""What hosts say of their release, and what they are wanted to run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from agent_client.protocol.releases import ReleaseState
from agents import events
from agents.distribution import releases
from agents.distribution.releases import Release
from agents.models import Agent, HostRelease
from agents.services.main_agents import require_host
from agents.system_changes import former_values
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid
from dialer_platform.storage import write_transaction

POLICY_DENIED = "policy_denied"
MAX_FORMER_VERSIONS = 3
MAX_CODE_CHARACTERS = 64
MAX_DETAIL_CHARACTERS = 500


def note_states(states: Mapping[str, ReleaseState], now: datetime) -> None:
    """Store what hosts said of their releases; only rows that change are written."""
    known = HostRelease.objects.in_bulk(list(states))
    for agent_id, state in states.items():
        row = known.get(agent_id) or HostRelease(agent_id=agent_id)
        told = {
            "sha256": state.sha256[:64],
            "can_change": state.can_change,
            "failed_order": state.failed_order,
            "failed_code": state.code[:MAX_CODE_CHARACTERS],
            "failed_detail": state.detail[:MAX_DETAIL_CHARACTERS].replace("\0", ""),
        }
        if agent_id in known and all(getattr(row, name) == told[name] for name in told):
            continue
        if state.code == POLICY_DENIED and row.failed_order != state.failed_order:
            _note_refusal(agent_id, row, str(told["failed_detail"]))
        since = row.running_since if row.sha256 == told["sha256"] else None
        HostRelease.objects.update_or_create(
            agent_id=agent_id, defaults={**told, "running_since": since or now}
        )


def _note_refusal(agent_id: str, row: HostRelease, reason: str) -> None:
    """Record that a host's policy does not let the server change its version."""
    detail = {"kind": "release", "version": row.wanted_version, "reason": reason}
    agent = Agent.objects.filter(pk=agent_id).first()
    audit.record(f"agent:{agent_id}", "policy.refused", agent, detail)


def upgrade_agent(agent: Agent, *, by: Principal | str, version: str = "") -> Agent:
    """Have one host run a version on offer, by default the server's own; asking twice repeats.

    Raises Invalid for an unknown version, and Conflict for a host that was revoked, was not
    installed by the installer, or whose policy forbids it.
    """
    require_host(agent)
    release = offered(version)
    state = HostRelease.objects.filter(agent=agent).first()
    if agent.revoked_at:
        raise Conflict(_("The agent was revoked."), code="revoked")
    if state is None or not state.can_change:
        raise Conflict(
            _(
                "This host does not take upgrades: its agent was not installed by the installer, "
                "or its policy forbids it."
            )
        )
    with write_transaction():
        want(agent.id, version=release.version, sha256=release.sha256, size=release.size_bytes)
        audit.record(by, "agent.upgrade", agent, {"version": release.version})
        events.agents_changed(agent.tenant_id, [agent.id])
    agent.refresh_from_db()
    return agent


def offered(version: str) -> Release:
    """Return a release on offer, the server's own for ""; raises Invalid."""
    found = releases.find(version) if version else releases.current()
    if found is None:
        raise Invalid(
            _("There is no such version."),
            fields={"version": [_("%(version)s is not on offer.") % {"version": version}]},
        )
    return found


def runs_own_release(release: HostRelease) -> bool:
    """Return whether a host runs the server's own release and is not about to leave it."""
    return release.sha256 == releases.current().sha256 and not release.is_changing


def former_versions(agent: Agent) -> list[str]:
    """Return the versions that a host ran before and that are still on offer, newest first."""
    former = former_values(agent.system, "agent_version")
    if not former:
        return []
    offered = {one.version for one in releases.on_offer()} - {agent.version}
    return [version for version in former if version in offered][:MAX_FORMER_VERSIONS]


def want(agent_id: str, *, version: str, sha256: str, size: int) -> None:
    """Write down a new wish for a host; the caller has the transaction and the audit."""
    HostRelease.objects.filter(agent_id=agent_id).update(
        wanted_order=F("wanted_order") + 1,
        wanted_version=version,
        wanted_sha256=sha256,
        wanted_bytes=size,
        wanted_at=timezone.now(),
        failed_code="",
        failed_detail="",
    )
