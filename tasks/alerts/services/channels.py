"""Verbs on channels: create, change, delete, test. Audited; addresses never leave again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.console import live
from dialer_platform.errors import Conflict, Invalid
from dialer_platform.storage import write_transaction
from tasks.alerts import sealing
from tasks.alerts.choices import ChannelKind, NoticeKind
from tasks.alerts.models import Channel, Delivery
from tasks.alerts.services import addresses, outbox

MAX_CHANNELS = 200
MAX_NAME_CHARACTERS = 100
MAX_SECRET_CHARACTERS = 500


def create_channel(*, by: Principal, fields: Mapping[str, Any]) -> Channel:
    """Return a new channel: name and address are enough; raises Invalid or Conflict."""
    values = {"secret": "", "is_enabled": True, **fields}
    values["kind"] = values.get("kind") or addresses.kind_of(str(values.get("address", "")))
    if Channel.objects.of_tenant(by.tenant_id).count() >= MAX_CHANNELS:
        raise Conflict(_("There are %d channels already; delete one first.") % MAX_CHANNELS)
    _check(values, is_new=True)
    return _save(Channel(tenant=by.tenant), values, by=by, action="alert.create_channel")


def update_channel(channel: Channel, *, by: Principal, fields: Mapping[str, Any]) -> Channel:
    """Change some fields; an empty address or secret keeps the one there is."""
    values = {name: value for name, value in fields.items() if not _is_kept(name, value)}
    values.setdefault("name", channel.name)
    if values.get("kind", channel.kind) != channel.kind and "address" not in values:
        sentence = _("Enter the address of the new kind.")
        raise Invalid(sentence, fields={"address": [sentence]})
    values.setdefault("kind", channel.kind)
    _check(values, is_new=False)
    return _save(channel, values, by=by, action="alert.change_channel")


def delete_channel(channel: Channel, *, by: Principal) -> None:
    """Delete a channel with its log; rules go on without it."""
    with write_transaction():
        audit.record(by, "alert.delete_channel", channel, {"name": channel.name})
        _announce(channel.tenant_id)
        channel.delete()


def test_channel(channel: Channel, *, by: Principal) -> Delivery:
    """Send a test message through the outbox, as every other message goes."""
    now = timezone.now()
    notice = {
        "kind": str(NoticeKind.TEST),
        "event": "test",
        "key": "test",
        "title": _("Alerts of %(tenant)s arrive here") % {"tenant": by.tenant.name},
        "text": _("Sent by %(person)s.") % {"person": by.name},
        "url": "/alerts/",
        "since": now.isoformat(),
        "at": now.isoformat(),
    }
    with write_transaction():
        audit.record(by, "alert.test_channel", channel)
        delivery = outbox.put_test(channel, notice, language=get_language() or "en", now=now)
        _announce(channel.tenant_id)
    return delivery


# pytest would take the verb for a test.
test_channel.__test__ = False  # type: ignore[attr-defined]


def _is_kept(name: str, value: Any) -> bool:
    """Return whether a field is left as it is: secrets are never shown, so they come back empty."""
    return name in ("address", "secret") and not value


def _check(values: Mapping[str, Any], *, is_new: bool) -> None:
    """Raise Invalid with every fault."""
    errors: dict[str, list[str]] = {}
    name = str(values.get("name", "")).strip()
    if not name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        errors["name"] = [_("Required: 1 to %d printable characters.") % MAX_NAME_CHARACTERS]
    if values["kind"] not in ChannelKind.values:
        errors["kind"] = [_("Must be one of %s.") % ", ".join(ChannelKind.values)]
    elif is_new or "address" in values:
        fault = addresses.fault_of(values["kind"], str(values.get("address", "")))
        errors |= {"address": [fault]} if fault else {}
    if len(str(values.get("secret", ""))) > MAX_SECRET_CHARACTERS:
        errors["secret"] = [_("At most %d characters.") % MAX_SECRET_CHARACTERS]
    if errors:
        raise Invalid(_("The channel is not valid."), fields=errors)


def _save(channel: Channel, values: Mapping[str, Any], *, by: Principal, action: str) -> Channel:
    """Write the channel and the audit line; raises Conflict when the name is taken."""
    channel.name, channel.kind = str(values["name"]).strip(), values["kind"]
    channel.is_enabled = bool(values.get("is_enabled", channel.is_enabled))
    if "address" in values:
        address = str(values["address"]).strip()
        channel.sealed_address = sealing.seal(address)
        channel.hint = addresses.hint_of(channel.kind, address)
    if "secret" in values:
        channel.sealed_secret = sealing.seal(str(values["secret"]))
    try:
        with write_transaction():
            channel.save()
            audit.record(by, action, channel, {"name": channel.name, "kind": channel.kind})
            _announce(channel.tenant_id)
    except IntegrityError as error:
        detail = _("Another channel has this name.")
        raise Conflict(detail, code="name_taken", fields={"name": [detail]}) from error
    return channel


def _announce(tenant_id: str) -> None:
    """Tell open pages once it is committed."""
    transaction.on_commit(partial(live.publish, outbox.TOPIC, tenant_id=tenant_id))
