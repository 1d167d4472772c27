"""Staged roll-outs of a version: begin, move on, halt, pause, resume, roll back.

`advance_all` is a step of housekeeping and level-triggered: it reads what is and acts on
it, so that a server that restarts goes on where it was. A host gets its wish and its
place in the roll-out in one transaction; nothing is remembered anywhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from agents import database_clock, events
from agents.choices import OPEN_ROLLOUTS, AgentStatus, RolloutState
from agents.distribution import releases
from agents.labels import label_errors
from agents.models import Agent, HostRelease, Rollout, RolloutHost
from agents.rollout_plan import DEFAULT_STAGES, HostFacts, Move, Verdict, judge, stage_ends
from agents.services.host_releases import offered, want
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid
from dialer_platform.storage import write_transaction

log = logging.getLogger("dialer.agents.rollouts")

MAX_ROLLOUTS_AT_ONCE = 100
MAX_HOSTS = 10_000
MAX_HOSTS_SHOWN = 500
MAX_REASON_CHARACTERS = 500
MAX_COMPLETED_KEPT = 20
"""The newest completed roll-outs whose former versions stay, so that they can be rolled back."""


def start_rollout(
    *,
    by: Principal,
    version: str = "",
    labels: Mapping[str, str] | None = None,
    stages: Sequence[str] = DEFAULT_STAGES,
    soak_seconds: int = 60,
    patience_seconds: int = 900,
) -> Rollout:
    """Begin to bring a version on offer to the hosts with these labels.

    Takes the hosts that can be upgraded and do not run it yet, those online first. Raises
    Invalid for an unknown version, wrong labels or stages, or when no host is left, and
    Conflict while a host is part of another roll-out that is not over.
    """
    release = offered(version)
    if wrong := label_errors(labels or {}):
        raise Invalid(_("The roll-out cannot begin."), fields=wrong)
    hosts = _hosts_for(by.tenant_id, labels or {}, release.sha256)
    try:
        ends = stage_ends(stages, len(hosts))
    except ValueError as error:
        raise Invalid(_("The roll-out cannot begin."), fields={"stages": [str(error)]}) from error
    if not hosts:
        sentence = _("No host with these labels can be upgraded to it.")
        raise Invalid(_("The roll-out cannot begin."), fields={"labels": [sentence]})
    with write_transaction():
        if RolloutHost.objects.filter(agent__in=hosts, rollout__state__in=OPEN_ROLLOUTS).exists():
            raise Conflict(_("Some of these hosts are part of a roll-out that is not over."))
        rollout = Rollout.objects.create(
            tenant_id=by.tenant_id,
            version=release.version,
            sha256=release.sha256,
            labels=dict(labels or {}),
            stages=ends,
            soak_seconds=soak_seconds,
            patience_seconds=patience_seconds,
            stage_began_at=database_clock.now(),
            created_by=by.name[:200],
        )
        RolloutHost.objects.bulk_create(
            RolloutHost(
                rollout=rollout,
                agent=host,
                stage=next(number for number, end in enumerate(ends) if place < end),
                former_version=host.version,
                former_sha256=host.release.sha256,
            )
            for place, host in enumerate(hosts)
        )
        _tell_stage(rollout, release.size_bytes)
        audit.record(by, "rollout.start", rollout, {"version": release.version, "stages": ends})
        _announce(rollout)
    return rollout


def pause_rollout(rollout: Rollout, *, by: Principal) -> Rollout:
    """Begin no further stage until it is resumed; hosts on their way go on."""
    _move(rollout, {RolloutState.RUNNING}, RolloutState.PAUSED, by=by, action="rollout.pause")
    return rollout


def resume_rollout(rollout: Rollout, *, by: Principal) -> Rollout:
    """Go on with a paused or halted roll-out; hosts that failed are asked once more."""
    waits = {RolloutState.PAUSED, RolloutState.HALTED}
    with write_transaction():
        _move(rollout, waits, RolloutState.RUNNING, by=by, action="rollout.resume")
        rollout.stage_began_at = database_clock.now()
        rollout.save(update_fields=["stage_began_at"])
        release = releases.find(rollout.version)
        for place in _places(rollout, upto=rollout.stage):
            if place.agent.release.sha256 != rollout.sha256:
                _want_it(rollout, place.agent_id, release.size_bytes if release else 0)
    return rollout


def roll_back(rollout: Rollout, *, by: Principal) -> Rollout:
    """Bring every host that is still to run this version back to what it ran before.

    Hosts that were told something else since keep to that. Hosts keep their former version
    on disk, so the way back needs no download there. Raises Conflict while a host is part of
    another roll-out that is not over: that one would take its going back for a failure.
    """
    states = {*OPEN_ROLLOUTS, RolloutState.COMPLETED}
    with write_transaction():
        elsewhere = RolloutHost.objects.filter(rollout__state__in=OPEN_ROLLOUTS).exclude(
            rollout=rollout
        )
        if elsewhere.filter(agent__in=rollout.hosts.values("agent")).exists():
            raise Conflict(_("Some of these hosts are part of another roll-out that is not over."))
        _move(rollout, states, RolloutState.ROLLED_BACK, by=by, action="rollout.roll_back")
        for place in _places(rollout, upto=rollout.stage):
            if place.agent.release.wanted_sha256 != rollout.sha256:
                continue
            former = releases.find(place.former_version)
            is_same = former is not None and former.sha256 == place.former_sha256
            want(
                place.agent_id,
                version=place.former_version,
                sha256=place.former_sha256,
                size=former.size_bytes if former and is_same else 0,
            )
    return rollout


def advance_all() -> int:
    """Move every running roll-out as far as its hosts allow; returns how many moved."""
    moved = 0
    for rollout in Rollout.objects.filter(state=RolloutState.RUNNING)[:MAX_ROLLOUTS_AT_ONCE]:
        moved += _advance(rollout, database_clock.now())
    return moved


def digests_in_use() -> set[str]:
    """Return the digests of the releases that some host may still be sent to, or back to."""
    wanted = HostRelease.objects.exclude(wanted_sha256="").values_list("wanted_sha256", flat=True)
    running = Rollout.objects.filter(state__in=OPEN_ROLLOUTS)
    completed = Rollout.objects.filter(state=RolloutState.COMPLETED).order_by("-id")
    # Read first: not every database takes a limited query as part of another one.
    newest = list(completed.values_list("id", flat=True)[:MAX_COMPLETED_KEPT])
    can_go_back = Q(rollout__in=running) | Q(rollout__in=newest)
    former = RolloutHost.objects.filter(can_go_back).exclude(former_sha256="")
    return {
        *wanted.distinct(),
        *running.values_list("sha256", flat=True),
        *former.values_list("former_sha256", flat=True).distinct(),
    }


def _advance(rollout: Rollout, now: datetime) -> bool:
    """Do what the hosts of the present stage call for; False while there is nothing to do."""
    verdict = verdict_of(rollout, now)
    if verdict.move is Move.WAIT:
        return False
    with write_transaction():
        # Somebody may have paused it since it was read.
        current = Rollout.objects.select_for_update().filter(
            pk=rollout.pk, state=RolloutState.RUNNING, stage=rollout.stage
        )
        if not current.exists():
            return False
        if verdict.move is Move.HALT:
            rollout.state = RolloutState.HALTED
            rollout.reason = verdict.reason[:MAX_REASON_CHARACTERS]
            audit.record(None, "rollout.halt", rollout, {"reason": rollout.reason})
        elif rollout.stage + 1 >= len(rollout.stages):
            rollout.state = RolloutState.COMPLETED
            audit.record(None, "rollout.complete", rollout)
        else:
            rollout.stage += 1
            rollout.stage_began_at = now
            release = releases.find(rollout.version)
            _tell_stage(rollout, release.size_bytes if release else 0)
            audit.record(None, "rollout.stage", rollout, {"stage": rollout.stage + 1})
        rollout.save(update_fields=["state", "reason", "stage", "stage_began_at"])
        _announce(rollout)
    log.info("roll-out moved", extra={"data": {"rollout": rollout.pk, "state": rollout.state}})
    return True


def verdict_of(rollout: Rollout, now: datetime) -> Verdict:
    """Return what the hosts that were told so far call for."""
    facts = [facts_of(place, rollout) for place in _places(rollout, upto=rollout.stage)]
    return judge(
        facts,
        now=now,
        began_at=rollout.stage_began_at,
        soak_seconds=rollout.soak_seconds,
        patience_seconds=rollout.patience_seconds,
    )


def facts_of(place: RolloutHost, rollout: Rollout) -> HostFacts:
    """Return what is known of a host in the words of the rules."""
    host, release = place.agent, place.agent.release
    failure = ""
    if host.revoked_at:
        failure = "It was revoked."
    elif release.wanted_sha256 == rollout.sha256 and release.has_failed:
        failure = release.failed_detail or release.failed_code
    return HostFacts(
        name=host.name,
        is_online=host.status == AgentStatus.ONLINE,
        online_since=host.online_since,
        runs_it=release.sha256 == rollout.sha256,
        running_since=release.running_since,
        failure=failure,
    )


def _hosts_for(tenant_id: str, labels: Mapping[str, str], sha256: str) -> list[Agent]:
    """Return the hosts to change, those online first: the first stage should not wait."""
    found = (
        Agent.objects.of_tenant(tenant_id)
        .hosts()
        .enrolled()
        .select_related("release")
        .filter(release__can_change=True)
        .exclude(release__sha256=sha256)
    )
    matching = [
        host for host in found if all(host.labels.get(key) == text for key, text in labels.items())
    ]
    matching.sort(key=lambda host: (host.status != AgentStatus.ONLINE, host.name, host.id))
    return matching[:MAX_HOSTS]


def _places(rollout: Rollout, *, upto: int) -> list[RolloutHost]:
    """Return the hosts of the stages so far."""
    places = rollout.hosts.filter(stage__lte=upto).select_related("agent__release")
    return list(places)


def _tell_stage(rollout: Rollout, size: int) -> None:
    """Give the hosts of the present stage their wish."""
    for agent_id in rollout.hosts.filter(stage=rollout.stage).values_list("agent_id", flat=True):
        _want_it(rollout, agent_id, size)


def _want_it(rollout: Rollout, agent_id: str, size: int) -> None:
    want(agent_id, version=rollout.version, sha256=rollout.sha256, size=size)


def _move(
    rollout: Rollout, states: set[RolloutState], to: RolloutState, *, by: Principal, action: str
) -> None:
    """Change the state of a roll-out that is in one of the states; raises Conflict."""
    with write_transaction():
        changed = Rollout.objects.filter(pk=rollout.pk, state__in=states).update(
            state=to, reason=""
        )
        rollout.refresh_from_db()
        if not changed:
            raise Conflict(_("The roll-out is %(state)s.") % {"state": rollout.get_state_display()})
        audit.record(by, action, rollout)
        _announce(rollout)


def _announce(rollout: Rollout) -> None:
    """Have the pages show it once it is committed."""
    events.agents_changed(rollout.tenant_id, [])
