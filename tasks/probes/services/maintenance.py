"""Plan work on targets: make, change and delete maintenance windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid
from dialer_platform.storage import write_transaction
from tasks.probes.choices import Recurrence
from tasks.probes.models import MaintenanceWindow, Probe
from tasks.probes.services import validation

MAX_WINDOWS = 1_000
MAX_LENGTH = timedelta(days=366)
MAX_PROBES = 1_000
PLAIN = ("name", "starts_at", "ends_at", "recurrence", "weekdays", "until", "tags")


def create_window(*, principal: Principal, fields: Mapping[str, Any]) -> MaintenanceWindow:
    """Store a window; raises Invalid with field errors, Conflict when there are too many."""
    blank: dict[str, Any] = {
        "recurrence": Recurrence.ONCE,
        "weekdays": [],
        "until": None,
        "tags": [],
        "probes": [],
    }
    cleaned = _clean(fields, blank, required=("name", "starts_at", "ends_at"))
    with write_transaction():
        if MaintenanceWindow.objects.filter(tenant_id=principal.tenant_id).count() >= MAX_WINDOWS:
            raise Conflict(_("Too many maintenance windows: delete old ones."), code="too_many")
        window = MaintenanceWindow.objects.create(
            tenant_id=principal.tenant_id,
            created_by=principal.user,
            **{name: cleaned[name] for name in PLAIN},
        )
        _set_probes(window, cleaned["probes"])
        audit.record(principal, "maintenance.create", window)
    return window


def update_window(
    window: MaintenanceWindow, *, by: Principal, fields: Mapping[str, Any]
) -> MaintenanceWindow:
    """Change what the fields name; raises Invalid."""
    stored = {name: getattr(window, name) for name in PLAIN}
    stored["probes"] = list(window.probes.values_list("pk", flat=True))
    cleaned = _clean(fields, stored)
    with write_transaction():
        for name in PLAIN:
            setattr(window, name, cleaned[name])
        window.save()
        _set_probes(window, cleaned["probes"])
        audit.record(by, "maintenance.change", window)
    return window


def delete_window(window: MaintenanceWindow, *, by: Principal) -> None:
    """Delete a window; what it covered up to now stays so."""
    with write_transaction():
        audit.record(by, "maintenance.delete", window, {"name": window.name})
        window.delete()


def _clean(
    fields: Mapping[str, Any], stored: Mapping[str, Any], *, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the whole window after the change; raises Invalid with all that is wrong."""
    errors = {name: [_("This field is required.")] for name in required if fields.get(name) is None}
    whole = dict(stored)
    for name in fields.keys() & CLEANERS.keys() - errors.keys():
        try:
            whole[name] = CLEANERS[name](fields[name])
        except validation.Wrong as error:
            errors[name] = [str(error)]
    if not errors:
        errors = _check_together(whole)
    if errors:
        raise Invalid(_("Some fields are not valid."), fields=errors)
    return whole


def _check_together(whole: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong with begin and end together."""
    length = whole["ends_at"] - whole["starts_at"]
    if not timedelta(0) < length <= MAX_LENGTH:
        return {"ends_at": [_("Must be after the beginning, within 366 days.")]}
    if whole["recurrence"] != Recurrence.ONCE and length >= timedelta(days=7):
        return {"ends_at": [_("A window that repeats must be shorter than a week.")]}
    return {}


def _set_probes(window: MaintenanceWindow, probe_ids: list[int]) -> None:
    """Store which probes it names; raises Invalid for one that the tenant does not have."""
    found = list(Probe.objects.of_tenant(window.tenant_id).filter(pk__in=probe_ids))
    unknown = sorted(set(probe_ids) - {probe.pk for probe in found})
    if unknown:
        names = ", ".join(f"#{one}" for one in unknown[:10])
        sentence = _("There is no such probe: %(ids)s") % {"ids": names}
        raise Invalid(_("Some fields are not valid."), fields={"probes": [sentence]})
    window.probes.set(found)


def _moment(value: Any) -> datetime:
    """Return a moment; one without a zone is UTC."""
    try:
        found = value if isinstance(value, datetime) else parse_datetime(str(value))
        moment = found and (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not 2000 <= moment.year <= 2200:
        raise validation.Wrong(_("Must be a time such as 2026-01-31T12:00:00Z."))
    return moment


def _maybe_moment(value: Any) -> datetime | None:
    """Return a moment, or None for no end."""
    return None if value in (None, "") else _moment(value)


def _weekdays(value: Any) -> list[int]:
    """Return weekdays, 0 is Monday."""
    days = validation.listed(value, 7)
    return sorted({validation.whole(0, 6)(day) for day in days})


def _probe_ids(value: Any) -> list[int]:
    """Return unique ids of probes."""
    clean = validation.whole(1, 2**63 - 1)
    return list(dict.fromkeys(clean(one) for one in validation.listed(value, MAX_PROBES)))


def _recurrence(value: Any) -> str:
    """Return one of the recurrences."""
    return validation.one_of(value, Recurrence.values)


CLEANERS: dict[str, Callable[[Any], Any]] = {
    "name": validation.text(validation.MAX_NAME_CHARACTERS),
    "starts_at": _moment,
    "ends_at": _moment,
    "recurrence": _recurrence,
    "weekdays": _weekdays,
    "until": _maybe_moment,
    "probes": _probe_ids,
    "tags": validation.tags,
}
