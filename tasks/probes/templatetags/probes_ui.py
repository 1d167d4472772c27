"""How probes are drawn: state badges and dots, milliseconds, shares, segments, phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django import forms, template
from django.forms import BoundField
from django.utils.formats import number_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dialer_platform.console.drawing import Segment
from dialer_platform.console.templatetags.console import badge
from tasks.probes import sentences
from tasks.probes.choices import TONES, Outcome, State
from tasks.probes.pages.uptime import Tally

register = template.Library()

OUTCOME_TONES = {
    Outcome.UP: "completed",
    Outcome.DEGRADED: "waiting",
    Outcome.DOWN: "failed",
    Outcome.ERROR: "draining",
    Outcome.MISSED: "canceled",
}
DOT_TONES = {
    State.UP: "done",
    State.DEGRADED: "waiting",
    State.SUSPECT: "waiting",
    State.DOWN: "failed",
    State.MAINTENANCE: "running",
}
RUN_STATES = {
    "running": gettext_lazy("running"),
    "waiting": gettext_lazy("waiting"),
    "completed": gettext_lazy("completed"),
}
PHASE_WORDS = {
    "dns": gettext_lazy("DNS"),
    "connect": gettext_lazy("connect"),
    "tls": gettext_lazy("TLS"),
    "send": gettext_lazy("send"),
    "ttfb": gettext_lazy("first byte"),
    "transfer": gettext_lazy("transfer"),
}
MISSED_WORDS = {
    "overrun": gettext_lazy("the run before was not over"),
    "queue_full": gettext_lazy("no thread was free"),
    "late": gettext_lazy("it was too late to start"),
    "suspended": gettext_lazy("the host was asleep"),
    "agent_restart": gettext_lazy("the agent was restarted"),
    "removed": gettext_lazy("the probe was taken away"),
    "outbox_full": gettext_lazy("the host kept too many results"),
}
PHASE_TONES = ("quiet", "accent", "waiting", "running", "done", "failed")
SECOND_MS = 1_000


class PhasePart(NamedTuple):
    """One phase of a run: its word, its colour, its milliseconds."""

    name: str
    label: str
    tone: str
    ms: float


@register.simple_tag
def state_badge(probe: Any) -> SafeString:
    """Draw the state of a probe."""
    state = State(probe.state)
    tone = {"blocked": "waiting"}.get(TONES[state], TONES[state])
    return badge(tone, state.label, f"probe-state-{probe.pk}")


@register.filter
def state_label(state: str) -> Any:
    """Say a state."""
    return State(state).label


@register.filter
def dot_tone(state: str) -> str:
    """Return the colour of a location's dot."""
    return DOT_TONES.get(State(state), "quiet")


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString:
    """Draw what a run came to."""
    return badge(OUTCOME_TONES.get(Outcome(outcome), "quiet"), Outcome(outcome).label)


@register.filter
def run_state_label(state: str) -> Any:
    """Say whether a probe runs, waits for a thread, or has completed its last run."""
    return RUN_STATES.get(state, "—")


@register.filter
def phase_word(name: str) -> Any:
    """Say a phase of a run; those that a kind has of its own stay as they are."""
    return PHASE_WORDS.get(name, name)


@register.filter
def missed_because(reason: str) -> Any:
    """Say why due runs were not executed."""
    return MISSED_WORDS.get(reason, reason)


@register.filter
def said(text: str) -> str:
    """Say in the reader's language what a host said in English."""
    return sentences.said(str(text))


@register.filter
def ms(value: float | None) -> str:
    """Say milliseconds: "0.42 ms", "83 ms", "1.27 s"."""
    if value is None:
        return "—"
    if value >= SECOND_MS:
        return _("%(count)s s") % {"count": number_format(value / SECOND_MS, 2)}
    digits = 2 if value < 1 else 1 if value < 10 else 0
    return _("%(count)s ms") % {"count": number_format(value, digits)}


@register.filter
def seconds_ms(value: float | None) -> str:
    """Say seconds as milliseconds."""
    return ms(None if value is None else value * SECOND_MS)


@register.filter
def share(value: float | None) -> str:
    """Say a share in percent; 100 % only when nothing at all failed."""
    if value is None:
        return "—"
    if value == 100:
        return "100 %"
    return f"{number_format(min(value, 99.99), 2)} %"


@register.filter
def hour_segments(hours: Sequence[Tally]) -> list[Segment]:
    """Lay hours side by side, each with a gap."""
    width = 100 / len(hours)
    return [
        Segment(round(place * width, 3), round(width * 0.82, 3), hour.tone)
        for place, hour in enumerate(hours)
    ]


@register.filter
def phase_parts(phases: Any) -> list[PhasePart]:
    """Return phases, in seconds by name or as (name, ms), with words and colours."""
    if isinstance(phases, dict):
        pairs = [(name, float(value) * SECOND_MS) for name, value in phases.items()]
    else:
        pairs = list(phases)
    order = list(PHASE_WORDS)
    return [
        PhasePart(
            name,
            str(PHASE_WORDS.get(name, name)),
            PHASE_TONES[order.index(name)] if name in PHASE_WORDS else "quiet",
            value,
        )
        for name, value in pairs
    ]


@register.filter
def as_parts(phases: Sequence[PhasePart]) -> list[tuple[float, str]]:
    """Return phases as the parts of a bar."""
    return [(phase.ms, phase.tone) for phase in phases]


@register.filter
def total_ms(phases: Sequence[PhasePart]) -> float:
    """Return what the phases take together."""
    return sum(phase.ms for phase in phases)


@register.filter
def words(text: str) -> list[str]:
    """Return the words of a text, to walk over them."""
    return text.split()


@register.filter
def is_box(field: BoundField) -> bool:
    """Tell whether a field is one check box."""
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def is_boxes(field: BoundField) -> bool:
    """Tell whether a field is a group of check boxes."""
    return isinstance(field.field.widget, forms.CheckboxSelectMultiple)
