"""Tags of the task pages: what a task needs, where it stands, what happened to it, in words."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from dialer_platform.console import wording
from dialer_platform.console.templatetags.console import badge
from tasks import waiting
from tasks.choices import TONES, Phase, Status
from tasks.models import Task, TaskEvent

register = template.Library()
MB = 1024 * 1024

PHASE_WORDS = {
    Phase.OFFERED: gettext_lazy("offered"),
    Phase.STARTING: gettext_lazy("starting"),
    Phase.CANCELING: gettext_lazy("stopping"),
}
EVENT_WORDS = {
    "submitted": gettext_lazy("submitted"),
    "offered": gettext_lazy("offered to an agent"),
    "offer_expired": gettext_lazy("offer not confirmed in time, back in the queue"),
    "refused": gettext_lazy("refused by the agent"),
    "accepted": gettext_lazy("accepted by the agent"),
    "confirmed": gettext_lazy("accepted by the agent"),
    "started": gettext_lazy("script started"),
    "blocked": gettext_lazy("waits for other tasks"),
    "unblocked": gettext_lazy("everything it waited for is completed"),
    "changed": gettext_lazy("changed"),
    "bandwidth_changed": gettext_lazy("bandwidth changed"),
    "dependencies_changed": gettext_lazy("dependencies changed"),
    "dependency_failed": gettext_lazy("canceled because a task before it failed"),
    "cancel_requested": gettext_lazy("asked to stop"),
    "canceled": gettext_lazy("canceled"),
    "completed": gettext_lazy("completed"),
    "failed": gettext_lazy("failed"),
    "finished": pgettext_lazy("state", "ended"),
    "revoked": gettext_lazy("taken back from the agent"),
    "lost": gettext_lazy("given up: its host did not come back"),
    "unkillable": gettext_lazy("a process does not end, not even by SIGKILL"),
    "killed_at_last": gettext_lazy("the stubborn process has ended"),
}
EVENT_TONES = {
    "completed": "completed",
    "failed": "failed",
    "canceled": "canceled",
    "dependency_failed": "canceled",
    "refused": "waiting",
    "offer_expired": "waiting",
    "unkillable": "failed",
    "lost": "failed",
    "started": "running",
}


@register.simple_tag
def status_badge(task: Task) -> SafeString:
    """Draw the status, with the hook for tests."""
    tone = TONES[Status(task.status)]
    return badge(tone, task.get_status_display(), f"task-status-{task.pk}")


@register.simple_tag
def status_word(task: Task) -> SafeString:
    """Draw the status of another task, without the hook."""
    return badge(TONES[Status(task.status)], task.get_status_display())


@register.simple_tag
def phase_note(task: Task) -> SafeString | str:
    """Say the finer step where it tells more than the status, and whether the host is silent."""
    if task.unkillable:
        return badge("unreachable", _("cannot be killed"))
    if waiting.is_unreachable(task):
        return badge("unreachable", _("unreachable"))
    word = PHASE_WORDS.get(Phase(task.phase))
    return format_html('<span class="task-phase">{}</span>', word) if word else ""


@register.filter
def sentence_of(sentences: dict[int, str], task: Task) -> str:
    """Return the sentence that says what the task waits for or why it ended so."""
    return sentences.get(task.pk, "")


@register.filter
def resources(task: Task) -> str:
    """Say what the task books: "8 cores · 2 × 24 GB"."""
    parts = []
    if task.cpu_cores:
        parts.append(ngettext("%d core", "%d cores", task.cpu_cores) % task.cpu_cores)
    if task.gpu_count:
        memory = wording.size(task.gpu_memory * MB) if task.gpu_memory else _("GPU")
        parts.append(f"{task.gpu_count} × {memory}")
    return " · ".join(parts) or _("none booked")


@register.filter
def percent(progress: dict[str, Any] | None) -> float | None:
    """Return the percentage a task's output shows, None when it shows none."""
    value = (progress or {}).get("percent")
    return float(value) if isinstance(value, int | float) else None


@register.filter
def time_left(progress: dict[str, Any] | None) -> str:
    """Say "38 m left" when the output says so."""
    seconds = (progress or {}).get("eta_seconds")
    if not isinstance(seconds, int | float):
        return ""
    return _("%(time)s left") % {"time": wording.coarse_duration(seconds)}


@register.filter
def exit_words(task: Task) -> str:
    """Say how the script ended: its exit code, or the signal that ended it."""
    if task.signal:
        return _("signal %d") % task.signal
    return "—" if task.exit_code is None else str(task.exit_code)


@register.filter
def event_words(event: TaskEvent) -> str:
    """Say what happened."""
    return str(EVENT_WORDS.get(event.kind) or event.kind.replace("_", " "))


@register.filter
def event_actor(event: TaskEvent, task: Task) -> str:
    """Return who did it; the task's own host by its name instead of its id."""
    is_host = task.agent is not None and event.actor == f"agent:{task.agent_id}"
    return str(task.agent.name) if task.agent and is_host else str(event.actor)


@register.filter
def event_detail(event: TaskEvent) -> str:
    """Return what the event adds, if that is for people."""
    detail = event.detail if isinstance(event.detail, dict) else {}
    found = [detail.get(key) for key in ("detail", "agent_name", "fields", "code")]
    first = next((value for value in found if value), "")
    return ", ".join(map(str, first)) if isinstance(first, list) else str(first)


@register.filter
def event_tone(event: TaskEvent) -> str:
    """Return the tone of the dot of the timeline."""
    return EVENT_TONES.get(event.kind, "quiet")
