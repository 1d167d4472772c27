"""One sentence on where a task stands: what it waits for, or how it ended.

For people: in the language of the reader, naming tasks, hosts and figures. The bulk form
costs the same number of queries for one task and for five hundred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.choices import AgentStatus
from dialer_platform.accounts.principal import Principal
from tasks.choices import Phase, Status
from tasks.endings_text import end_sentence
from tasks.matching import Need, Room
from tasks.models import Task
from tasks.services.fleet_rooms import keep_overdue, need_of, rooms_in
from tasks.services.refusals import refusals
from tasks.services.submit import statuses_in
from tasks.services.validation import DEFAULTS, clean_changes
from tasks.shortfall import Lack, Shortfall, explain

MAX_NAMED_TASKS = 5


def reason_sentence(task: Task) -> str:
    """Return what one task waits for or why it ended; "" when there is nothing to say."""
    return reason_sentences([task])[task.pk]


def reason_sentences(tasks: Sequence[Task]) -> dict[int, str]:
    """Return the sentence of each task by id; the tasks should come from `shown()`."""
    fleet = _Fleet()
    return {task.pk: _sentence(task, fleet) for task in tasks}


class _Fleet:
    """What is free on the hosts, read once per tenant; tasks that need the same share an answer."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._rooms: dict[str, dict[str, Room]] = {}
        self._kept: dict[str, dict[int, str]] = {}
        self._found: dict[tuple[str, tuple[object, ...]], Shortfall] = {}

    def explain(self, tenant_id: str, need: Need) -> Shortfall:
        """Return what the closest host of the tenant lacks."""
        key = (tenant_id, need.shape)
        if key not in self._found:
            self._read(tenant_id)
            self._found[key] = explain(need, self._rooms[tenant_id])
        return self._found[key]

    def host_kept_for(self, task: Task) -> str:
        """Return the name of the host that is kept free for the task, "" when none is."""
        self._read(task.tenant_id)
        return self._kept[task.tenant_id].get(task.pk, "")

    def name_of(self, tenant_id: str, agent_id: str) -> str:
        """Return a host's name, its id when it is not known any more."""
        self._read(tenant_id)
        room = self._rooms[tenant_id].get(agent_id)
        return room.host.name if room else agent_id

    def _read(self, tenant_id: str) -> None:
        """Read what is free in the tenant, once."""
        if tenant_id not in self._rooms:
            self._rooms[tenant_id] = rooms_in(tenant_id)
            self._kept[tenant_id] = keep_overdue(tenant_id, self._rooms[tenant_id])


def is_unreachable(task: Task) -> bool:
    """Return whether the task may be running on a host that is silent."""
    is_held = task.status == Status.RUNNING and task.agent is not None
    return is_held and task.agent.status != AgentStatus.ONLINE  # type: ignore[union-attr]


def preview(principal: Principal, fields: Mapping[str, Any]) -> str:
    """Return what would happen to a task if it were submitted now; raises Invalid."""
    cleaned = {**DEFAULTS, **clean_changes(fields)}
    statuses = statuses_in(principal.tenant_id, cleaned["depends_on"])
    open_ids = [number for number, status in statuses.items() if status != Status.COMPLETED]
    if open_ids:
        names = ", ".join(f"#{number}" for number in open_ids[:MAX_NAMED_TASKS])
        return _("Would wait for %(tasks)s.") % {"tasks": names}
    need = Need(
        0,
        cleaned["script_type"],
        cleaned["cpu_cores"],
        cleaned["gpu_count"],
        cleaned["gpu_memory"],
        cleaned["agent_id"],
        tuple(sorted(cleaned["labels"].items())),
    )
    found = explain(need, rooms_in(principal.tenant_id))
    if found.lack is Lack.NOTHING:
        return _("Could start now on %(host)s.") % {"host": found.host_name}
    return _("Would wait: %(why)s") % {"why": shortfall_sentence(found)}


def _sentence(task: Task, fleet: _Fleet) -> str:
    """Return the sentence for one task."""
    if task.status == Status.BLOCKED:
        return _blocked_sentence(task)
    if task.status == Status.WAITING:
        return _waiting_sentence(task, fleet)
    if task.status == Status.RUNNING:
        return _running_sentence(task)
    return end_sentence(task)


def _blocked_sentence(task: Task) -> str:
    """Name the unfinished tasks that a blocked one waits for."""
    others = [edge.depends_on for edge in task.dependency_edges.all()]
    unfinished = [one for one in others if one.status != Status.COMPLETED]
    names = ", ".join(f"#{one.pk} {one.name}" for one in unfinished[:MAX_NAMED_TASKS])
    more = len(unfinished) - MAX_NAMED_TASKS
    if more > 0:
        return _("Waits for %(tasks)s and %(more)d more.") % {"tasks": names, "more": more}
    return _("Waits for %(tasks)s.") % {"tasks": names}


def _waiting_sentence(task: Task, fleet: _Fleet) -> str:
    """Say what a waiting task lacks on the host that comes closest."""
    if task.phase == Phase.OFFERED:
        host = task.agent.name if task.agent else ""
        return _("Offered to %(host)s, which has not confirmed yet.") % {"host": host}
    kept = fleet.host_kept_for(task)
    if kept:
        return _("%(host)s is kept free for it until enough is there.") % {"host": kept}
    found = fleet.explain(task.tenant_id, need_of(task))
    refusal = refusals.last(task.pk)
    if found.lack is Lack.NOTHING and refusal is not None:
        # By the server's figures it would fit: only the host's own words explain the wait.
        return _("%(host)s refused it: %(detail)s") % {
            "host": fleet.name_of(task.tenant_id, refusal.agent_id),
            "detail": refusal.detail or _("no reason was given"),
        }
    return shortfall_sentence(found)


def _running_sentence(task: Task) -> str:
    """Say what is unusual about a running task; "" if nothing is."""
    host = task.agent.name if task.agent else ""
    if is_unreachable(task):
        return _("%(host)s is silent; the task may still be running there.") % {"host": host}
    if task.unkillable:
        return _("Its processes survive KILL; %(host)s keeps trying.") % {"host": host}
    if task.phase == Phase.CANCELING:
        return _("Being stopped, as %(person)s asked.") % {"person": task.cancel_requested_by}
    if task.phase == Phase.STARTING:
        return _("Starting on %(host)s.") % {"host": host}
    return ""


def shortfall_sentence(found: Shortfall) -> str:
    """Return the sentence for what the closest host lacks."""
    facts = {
        "host": found.host_name,
        "needed": found.needed,
        "available": found.available,
        "detail": found.detail,
    }
    sentence = _lack_sentence(found)
    return sentence % facts


def _lack_sentence(found: Shortfall) -> str:
    """Return the pattern of a lack's sentence."""
    if found.is_permanent:
        return _permanent_sentence(found)
    return {
        Lack.NOTHING: _("Next in line for %(host)s."),
        Lack.SLOTS: ngettext(
            "The only slot of %(host)s is taken.",
            "All %(available)d slots of %(host)s are taken.",
            found.available,
        ),
        Lack.CPU: ngettext(
            "Needs %(needed)d CPU core; %(host)s has %(available)d free.",
            "Needs %(needed)d CPU cores; %(host)s has %(available)d free.",
            found.needed,
        ),
        Lack.GPU_COUNT: ngettext(
            "Needs %(needed)d GPU; %(host)s has %(available)d free.",
            "Needs %(needed)d GPUs; %(host)s has %(available)d free.",
            found.needed,
        ),
        Lack.GPU_MEMORY: _(
            "Needs %(needed)d MB of GPU memory; %(host)s has %(available)d MB free."
        ),
        Lack.GPU_FOREIGN: ngettext(
            "Needs %(needed)d GPU; processes outside the queue occupy %(detail)s of %(host)s.",
            "Needs %(needed)d GPUs; processes outside the queue occupy %(detail)s of %(host)s.",
            found.needed,
        ),
        Lack.KEPT: _("%(host)s is kept free for #%(needed)d, which has waited longer."),
        Lack.DRAINING: _("%(host)s would fit, but is drained or paused and takes no new tasks."),
        Lack.OFFLINE: _("%(host)s would fit, but is offline."),
    }[found.lack]


def _permanent_sentence(found: Shortfall) -> str:
    """Return the pattern of a lack that time does not mend."""
    return {
        Lack.NEVER_SLOTS: _("No known agent could ever run it: %(host)s takes no tasks."),
        Lack.NEVER_CPU: ngettext(
            "No known agent could ever run it: needs %(needed)d CPU core, "
            "%(host)s has %(available)d in all.",
            "No known agent could ever run it: needs %(needed)d CPU cores, "
            "%(host)s has %(available)d in all.",
            found.needed,
        ),
        Lack.NEVER_GPU_COUNT: ngettext(
            "No known agent could ever run it: needs %(needed)d GPU, "
            "%(host)s has %(available)d in all.",
            "No known agent could ever run it: needs %(needed)d GPUs, "
            "%(host)s has %(available)d in all.",
            found.needed,
        ),
        Lack.NEVER_GPU_MEMORY: _(
            "No known agent could ever run it: needs %(needed)d MB per GPU, "
            "%(host)s has %(available)d MB at most."
        ),
        Lack.SCRIPT_TYPE: _(
            "No known agent could ever run it: %(host)s cannot run %(detail)s scripts."
        ),
        Lack.LABELS: _("No known agent could ever run it: %(host)s lacks the label %(detail)s."),
        Lack.OTHER_HOST: _(
            "No known agent could ever run it: the agent it names is not enrolled any more."
        ),
        Lack.NO_HOSTS: _("No known agent could ever run it: no agent is enrolled yet."),
    }[found.lack]
