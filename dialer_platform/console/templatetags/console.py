"""Tags and filters every page is made of: badge, priority, bar, sparkline, times and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from dialer_platform.accounts import permissions
from dialer_platform.console import drawing, wording

register = template.Library()

PRIORITY_WORDS = {1: _("urgent"), 2: _("high"), 3: _("normal"), 4: _("low"), 5: _("idle")}


@register.simple_tag
def badge(tone: str, label: Any, testid: str = "") -> SafeString:
    """Draw a state as a shape and a word."""
    hook = format_html(' data-testid="{}"', testid) if testid else ""
    return format_html('<span class="badge tone-{}"{}><span>{}</span></span>', tone, hook, label)


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw an icon; it is decoration and hidden from screen readers."""
    shape = mark_safe(drawing.icons()[name])  # noqa: S308 - a file of this program
    return format_html(
        '<svg viewBox="0 0 24 24" width="16" height="16" fill="none" stroke="currentColor" '
        'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
        "{}</svg>",
        shape,
    )


@register.inclusion_tag("console/_priority.html")
def priority(value: int, words: bool = False) -> dict[str, Any]:
    """Draw a priority as five marks, all lit for 1, the highest."""
    return {
        "value": value,
        "marks": drawing.priority_marks(value),
        "word": PRIORITY_WORDS.get(value, ""),
        "shows_word": words,
    }


@register.inclusion_tag("console/_bar.html")
def bar(
    amount: float | None, tone: str = "running", label: str = "", total: float = 100
) -> dict[str, Any]:
    """Draw an amount of a total as a bar; without a label it is decoration."""
    parts = drawing.segments([(float(amount or 0), tone)], float(total or 0))
    return {"segments": parts, "label": label}


@register.inclusion_tag("console/_bar.html")
def stacked_bar(
    parts: Sequence[tuple[float, str]], total: float, label: str = ""
) -> dict[str, Any]:
    """Draw several (amount, tone) side by side in one bar of the total."""
    return {"segments": drawing.segments(parts, float(total or 0)), "label": label}


@register.inclusion_tag("console/_sparkline.html")
def sparkline(
    values: Sequence[float], top: float | None = None, label: str = "", tone: str = "accent"
) -> dict[str, Any]:
    """Draw values, oldest first, as a small curve."""
    return {"points": drawing.spark_points(values, top=top), "label": label, "tone": tone}


@register.simple_tag
def relative_time(at: datetime | None, empty: str = "—") -> SafeString:
    """Say how long ago; the exact time stands in the title and in datetime."""
    if at is None:
        return format_html('<span class="faint">{}</span>', empty)
    exact = timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z")
    return format_html(
        '<time data-relative datetime="{}" title="{}">{}</time>',
        at.isoformat(),
        exact,
        wording.age(at),
    )


@register.simple_tag
def ticking(since: datetime | None) -> SafeString:
    """Say how long something has been going on; the page counts on by itself."""
    if since is None:
        return mark_safe("—")
    elapsed = (timezone.now() - since).total_seconds()
    return format_html(
        '<span data-since="{}">{}</span>', since.isoformat(), wording.duration(int(elapsed))
    )


@register.filter
def duration(seconds: float | None) -> str:
    """Say seconds as "12 m 04 s"."""
    return wording.duration(seconds)


@register.filter(name="bytes")
def size(count: float | None) -> str:
    """Say a number of bytes as "19.4 GB"."""
    return wording.size(count)


@register.filter
def megabytes(count: float | None) -> str:
    """Say a number of MB as "19.4 GB"."""
    return wording.size(None if count is None else float(count) * wording.KILO**2)


@register.filter
def priority_word(value: int) -> Any:
    """Say a priority as a word."""
    return PRIORITY_WORDS.get(value, value)


@register.simple_tag(takes_context=True)
def can(context: template.Context, action: str, obj: object | None = None) -> bool:
    """Tell whether the person may do it: {% can "task.cancel" task as may_cancel %}."""
    return permissions.can(context.get("principal"), action, obj)


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """Return the page's query string with changes; None or "" removes a name."""
    data = context["request"].GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            data.pop(name, None)
        else:
            data[name] = str(value)
    return f"?{data.urlencode()}" if data else "?"
