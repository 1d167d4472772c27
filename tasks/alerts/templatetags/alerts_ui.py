"""How rules and deliveries are said on their page."""

from __future__ import annotations

from django import forms, template
from django.forms import BoundField
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dialer_platform.console import wording
from dialer_platform.console.templatetags.console import badge
from tasks.alerts.choices import DELIVERY_TONES, Event
from tasks.alerts.models import Delivery, Rule
from tasks.alerts.services.outbox import message_of

register = template.Library()


@register.simple_tag
def delivery_badge(delivery: Delivery) -> SafeString:
    """Draw the state of a delivery."""
    label = delivery.get_state_display()
    return badge(DELIVERY_TONES[delivery.state], label, f"delivery-state-{delivery.pk}")


@register.filter
def subject(delivery: Delivery) -> str:
    """Say what a message is about."""
    return message_of(delivery).subject if delivery.notices else "—"


@register.filter
def watched(rule: Rule) -> str:
    """Say what a rule is about."""
    return ", ".join(str(Event(name).label) for name in rule.events if name in Event.values)


@register.filter
def terms(rule: Rule) -> str:
    """Say when a rule speaks, in short parts."""
    parts = []
    if rule.name_contains:
        parts.append(_("names with “%s”") % rule.name_contains)
    parts += [f"{name}={word}" if word else name for name, word in rule.labels.items()]
    if rule.min_duration_seconds:
        parts.append(_("after %s") % wording.duration(rule.min_duration_seconds))
    if rule.renotify_seconds:
        parts.append(_("again every %s") % wording.duration(rule.renotify_seconds))
    if rule.tells_recovery:
        parts.append(_("with recovery"))
    return " · ".join(parts)


@register.filter
def is_single_box(field: BoundField) -> bool:
    """Tell whether a field is one check box."""
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def is_many_boxes(field: BoundField) -> bool:
    """Tell whether a field is a group of check boxes."""
    return isinstance(field.field.widget, forms.CheckboxSelectMultiple)
