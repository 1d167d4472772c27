"""The starter templates: loaded once per tenant, so that what people delete stays deleted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dialer_platform.accounts.models import AuditEvent, Tenant
from dialer_platform.accounts.services import audit
from dialer_platform.storage import write_transaction
from templates_app.models import Template
from templates_app.models.template import ScriptType
from templates_app.services.templates import create_template

DIRECTORY = Path(__file__).parent.parent / "starters"
LOADED = "template.load_starters"


@dataclass(frozen=True, slots=True)
class Starter:
    """One template that a fresh installation begins with."""

    name: str
    file: str
    script_type: str
    description: str


STARTERS = (
    Starter(
        "System report",
        "system_report.sh",
        ScriptType.SHELL,
        "What this host is and how it is doing: system, processor, memory, disks, processes.",
    ),
    Starter(
        "Train a small model",
        "train_small_model.py",
        ScriptType.PYTHON,
        "Trains a neural network on made-up data with the standard library alone, "
        "with a progress bar; about 15 seconds.",
    ),
    Starter(
        "GPU check",
        "gpu_check.py",
        ScriptType.PYTHON,
        "Lists the GPUs this task may use and tries them; works without a GPU too.",
    ),
)


def load_starter_templates(tenant: Tenant) -> list[Template]:
    """Create the starters the first time it is called for a tenant; returns the new ones."""
    with write_transaction():
        if AuditEvent.objects.filter(tenant=tenant, action=LOADED).exists():
            return []
        taken = set(Template.objects.of_tenant(tenant.id).values_list("name", flat=True))
        new = [_create(one, tenant) for one in STARTERS if one.name not in taken]
        audit.record(None, LOADED, tenant, {"count": len(new)}, tenant_id=tenant.id)
    return new


def _create(starter: Starter, tenant: Tenant) -> Template:
    """Create one starter."""
    return create_template(
        by=audit.SYSTEM_ACTOR,
        tenant=tenant,
        name=starter.name,
        script_type=starter.script_type,
        script_content=(DIRECTORY / starter.file).read_text(encoding="utf-8"),
        description=starter.description,
    )
