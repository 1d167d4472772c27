"""Fan-out: one file to every online host that carries the labels, as one task per host.

All or nothing, like a batch; which hosts there are is decided once, when it is submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from agents.models import Agent
from dialer_platform.accounts.principal import Principal
from dialer_platform.errors import Conflict, Invalid, TooLarge
from tasks.choices import Kind
from tasks.models import Task
from tasks.services.submit import MAX_BATCH, once, store
from tasks.services.validation import clean_new


class NoAgentOnline(Conflict):
    """No host that carries the labels is online."""

    code = "no_agent_online"


def fan_out(
    *, principal: Principal, fields: Mapping[str, Any], idempotency_key: str = ""
) -> list[Task]:
    """Store one task for each host that is online and carries `labels`; all or none.

    The same key with the same fields gives the same tasks, whatever hosts came since.
    Raises Invalid, NoAgentOnline, or TooLarge for more hosts than a batch may have.
    """
    if fields.get("agent_id"):
        sentence = _("Hosts are chosen by labels here.")
        raise Invalid(_("Some fields are not valid."), fields={"agent_id": [sentence]})
    if fields.get("kind", Kind.FILE_UPLOAD) != Kind.FILE_UPLOAD:
        sentence = _("Only a file can be sent to many hosts.")
        raise Invalid(_("Some fields are not valid."), fields={"kind": [sentence]})
    cleaned = clean_new({**fields, "kind": Kind.FILE_UPLOAD.value})

    def create() -> list[Task]:
        rows = [{**cleaned, "agent_id": agent_id} for agent_id in _hosts(principal, cleaned)]
        # The order is the same for all: its errors are named once, without a row number.
        return store(principal, rows, prefixes=[""] * len(rows))

    return once(principal, idempotency_key, {"fan_out": cleaned}, create)


def _hosts(principal: Principal, cleaned: Mapping[str, Any]) -> list[str]:
    """Return the ids of the hosts to send to, by name; raises NoAgentOnline or TooLarge."""
    wanted = cleaned["labels"].items()
    online = Agent.objects.visible_to(principal).hosts().enrolled().online().order_by("name", "id")
    rows = online.values_list("id", "labels")
    found = [agent_id for agent_id, labels in rows if wanted <= (labels or {}).items()]
    if not found:
        raise NoAgentOnline(_("No agent with these labels is online."))
    if len(found) > MAX_BATCH:
        raise TooLarge(_("At most %(limit)d tasks in one request.") % {"limit": MAX_BATCH})
    return found
