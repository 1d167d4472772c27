"""Verbs on templates: create, change, delete. Promises names that are unique in a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from dialer_platform.accounts.models import Tenant, User
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.console import live
from dialer_platform.errors import Conflict, Invalid, TooLarge
from dialer_platform.storage import write_transaction
from templates_app.models import Template
from templates_app.models.template import ScriptType

MAX_NAME_CHARACTERS = 100
MAX_DESCRIPTION_CHARACTERS = 500
FIELDS = frozenset({"name", "script_type", "script_content", "description"})
REQUIRED = frozenset({"name", "script_content"})
LIMITS = {"name": MAX_NAME_CHARACTERS, "description": MAX_DESCRIPTION_CHARACTERS}

Actor = Principal | str


def create_template(
    *,
    by: Actor,
    tenant: Tenant,
    name: str,
    script_content: str,
    script_type: str = ScriptType.SHELL,
    description: str = "",
) -> Template:
    """Return a new template; raises Invalid, TooLarge, or Conflict when the name is taken."""
    fields = cleaned(
        {
            "name": name,
            "script_type": script_type,
            "script_content": script_content,
            "description": description,
        }
    )
    with write_transaction():
        template = _saved(Template(tenant=tenant, created_by=_user_of(by), **fields))
        audit.record(by, "template.create", template, {"name": template.name})
        _announce(template)
    return template


def update_template(template: Template, *, by: Actor, **changes: Any) -> Template:
    """Change some fields; raises Invalid, TooLarge, or Conflict when the name is taken."""
    fields = cleaned(changes)
    for field_name, value in fields.items():
        setattr(template, field_name, value)
    with write_transaction():
        _saved(template)
        audit.record(by, "template.change", template, {"fields": sorted(fields)})
        _announce(template)
    return template


def delete_template(template: Template, *, by: Actor) -> None:
    """Delete a template; tasks made from it keep their own copy of the script."""
    with write_transaction():
        audit.record(by, "template.delete", template, {"name": template.name})
        _announce(template)
        template.delete()


def cleaned(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields ready to store; raises Invalid with every fault, or TooLarge."""
    found = {name: str(value) for name, value in fields.items()}
    for name in {"name", "description"} & found.keys():
        found[name] = found[name].strip()
    if "script_content" in found:
        found["script_content"] = _script(found["script_content"])
    errors = {name: [fault] for name, value in found.items() if (fault := _fault_of(name, value))}
    if errors:
        raise Invalid(_("The template is not valid."), fields=errors)
    return found


def _fault_of(name: str, value: str) -> str:
    """Return what is wrong with one field, nothing when it is right."""
    if name not in FIELDS:
        return _("Unknown field.")
    if name in REQUIRED and not value.strip():
        return _("Required.")
    if "\0" in value:
        return _("Must not contain NUL.")
    limit = LIMITS.get(name)
    if limit and len(value) > limit:
        return _("At most %(limit)d characters.") % {"limit": limit}
    if name == "script_type" and value not in ScriptType.values:
        return _("Must be one of %s.") % ", ".join(ScriptType.values)
    return ""


def _script(text: str) -> str:
    """Return the script with Unix line ends; raises TooLarge."""
    script = text.replace("\r\n", "\n")
    if len(script.encode()) > settings.MAX_SCRIPT_BYTES:
        detail = _("The script is larger than 1 MiB.")
        raise TooLarge(detail, fields={"script_content": [detail]})
    return script


def _saved(template: Template) -> Template:
    """Save; raises Conflict when another template of the tenant has the name."""
    try:
        with transaction.atomic():
            template.save()
    except IntegrityError as error:
        detail = _("Another template has this name.")
        raise Conflict(detail, code="name_taken", fields={"name": [detail]}) from error
    return template


def _user_of(by: Actor) -> User | None:
    """Return the person, None when a command or the system acts."""
    return by.user if isinstance(by, Principal) else None


def _announce(template: Template) -> None:
    """Tell open pages once it is committed."""
    transaction.on_commit(partial(live.publish, "templates", tenant_id=template.tenant_id))
