"""Verbs on rules: create, change, delete. Audited."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.console import live
from dialer_platform.errors import Conflict, Invalid
from dialer_platform.storage import write_transaction
from tasks.alerts.choices import Event
from tasks.alerts.models import Channel, Rule
from tasks.alerts.services import outbox

MAX_RULES = 200
MAX_NAME_CHARACTERS = 100
MAX_LABELS = 20
LIMITS = {
    "min_duration_seconds": (0, 7 * 86_400),
    "renotify_seconds": (0, 30 * 86_400),
    "group_seconds": (0, 3_600),
    "certificate_days": (1, 365),
}
SHORTEST_REMINDER_SECONDS = 60
PLAIN = ("is_enabled", "events", "labels", "tells_recovery", "language", *LIMITS)
SCOPE = ("events", "name_contains", "labels")


def create_rule(*, by: Principal, fields: Mapping[str, Any]) -> Rule:
    """Return a new rule; raises Invalid or Conflict."""
    if Rule.objects.of_tenant(by.tenant_id).count() >= MAX_RULES:
        raise Conflict(_("There are %d rules already; delete one first.") % MAX_RULES)
    values = {"events": list(Event.values), **fields}
    return _save(Rule(tenant=by.tenant), values, by=by, action="alert.create_rule")


def update_rule(rule: Rule, *, by: Principal, fields: Mapping[str, Any]) -> Rule:
    """Change some fields. Alerts the rule no longer watches end without a notice."""
    before = [getattr(rule, name) for name in SCOPE]
    with write_transaction():
        _save(rule, {"name": rule.name, **fields}, by=by, action="alert.change_rule")
        if before != [getattr(rule, name) for name in SCOPE] or not rule.is_enabled:
            # Otherwise the next look would call them recovered, which nobody has seen.
            rule.alerts.filter(closed_at=None).update(closed_at=timezone.now())
    return rule


def delete_rule(rule: Rule, *, by: Principal) -> None:
    """Delete a rule with its alerts; what it has sent stays in the log."""
    with write_transaction():
        audit.record(by, "alert.delete_rule", rule, {"name": rule.name})
        _announce(rule.tenant_id)
        rule.delete()


def _save(rule: Rule, values: Mapping[str, Any], *, by: Principal, action: str) -> Rule:
    """Write the rule, its channels and the audit line."""
    channels = _checked(rule, values)
    for name in PLAIN:
        if name in values:
            setattr(rule, name, values[name])
    rule.name = str(values["name"]).strip()
    rule.name_contains = str(values.get("name_contains", rule.name_contains)).strip()
    try:
        with write_transaction():
            with transaction.atomic():
                rule.save()
            if channels is not None:
                rule.channels.set(channels)
            audit.record(by, action, rule, {"name": rule.name})
            _announce(rule.tenant_id)
    except IntegrityError as error:
        detail = _("Another rule has this name.")
        raise Conflict(detail, code="name_taken", fields={"name": [detail]}) from error
    return rule


def _checked(rule: Rule, values: Mapping[str, Any]) -> list[Channel] | None:
    """Return the channels, None when they are not to change; raises Invalid with every fault."""
    errors = {name: [fault] for name in values if (fault := _fault_of(name, values[name]))}
    if not str(values.get("name", "")).strip():
        errors["name"] = [_("Required: 1 to %d printable characters.") % MAX_NAME_CHARACTERS]
    channels = None
    if "channels" in values:
        ids = {getattr(one, "pk", one) for one in values["channels"]}
        channels = list(Channel.objects.of_tenant(rule.tenant_id).filter(pk__in=ids))
        if len(channels) != len(ids):
            errors["channels"] = [_("There is no such channel.")]
    if errors:
        raise Invalid(_("The rule is not valid."), fields=errors)
    return channels


def _fault_of(name: str, value: Any) -> str:
    """Return what is wrong with one field, "" when it is right."""
    if name in LIMITS:
        return _number_fault(name, value)
    if name in ("name", "name_contains"):
        is_fine = len(str(value)) <= MAX_NAME_CHARACTERS and str(value).isprintable()
        return "" if is_fine else _("At most %d printable characters.") % MAX_NAME_CHARACTERS
    if name == "events":
        is_fine = bool(value) and set(value) <= set(Event.values)
        return "" if is_fine else _("Choose at least one of %s.") % ", ".join(Event.values)
    if name == "language" and value not in dict(settings.LANGUAGES):
        return _("Must be one of %s.") % ", ".join(dict(settings.LANGUAGES))
    return _labels_fault(value) if name == "labels" else ""


def _number_fault(name: str, value: Any) -> str:
    """Return what is wrong with a field that has limits."""
    low, high = LIMITS[name]
    if not isinstance(value, int) or not low <= value <= high:
        return _("Must be from %(low)d to %(high)d.") % {"low": low, "high": high}
    if name == "renotify_seconds" and 0 < value < SHORTEST_REMINDER_SECONDS:
        return _("Must be 0 (never) or at least %d seconds.") % SHORTEST_REMINDER_SECONDS
    return ""


def _labels_fault(labels: Any) -> str:
    """Return what is wrong with the labels."""
    is_fine = (
        isinstance(labels, dict)
        and len(labels) <= MAX_LABELS
        and all(
            isinstance(part, str) and len(part) <= 100 for row in labels.items() for part in row
        )
    )
    return "" if is_fine else _("Must be at most %d pairs of name and text.") % MAX_LABELS


def _announce(tenant_id: str) -> None:
    """Tell open pages once it is committed."""
    transaction.on_commit(partial(live.publish, outbox.TOPIC, tenant_id=tenant_id))
