"""How a host joins: an enrolment token `dpe_…` is exchanged once for its own credential.

Promises that a token with n uses registers at most n hosts, however many try at once,
and that a host whose answer was lost may ask again until it used its credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from agents import events
from agents.labels import MAX_NAME_CHARACTERS, label_errors
from agents.models import Agent, EnrolmentToken
from agents.services.main_agents import create_main_agent, give_new_credential
from dialer_platform.accounts import secrets
from dialer_platform.accounts.models import Tenant
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import FieldErrors, Invalid, Unauthenticated
from dialer_platform.quotas import ensure_quota
from dialer_platform.storage import write_transaction

MAX_USES = 1_000
MAX_VALID_SECONDS = 90 * 24 * 3600
MAX_INSTANCE_CHARACTERS = 64


class Registration(NamedTuple):
    """A registered host and its credential, shown this once."""

    agent: Agent
    agent_token: str
    is_new: bool


def create_enrolment_token(
    *,
    actor: Principal | str,
    tenant: Tenant,
    max_uses: int = 1,
    valid_seconds: int = 3600,
    labels: Mapping[str, str] | None = None,
) -> tuple[EnrolmentToken, str]:
    """Return a new enrolment token and its text, which is kept nowhere.

    Raises Invalid, and QuotaExceeded when too many are in force.
    """
    fields: dict[str, list[str]] = {}
    if not 1 <= max_uses <= MAX_USES:
        fields["max_uses"] = [f"Must be between 1 and {MAX_USES}."]
    if not 1 <= valid_seconds <= MAX_VALID_SECONDS:
        fields["valid_seconds"] = [f"Must be between 1 and {MAX_VALID_SECONDS} (90 days)."]
    fields |= label_errors(labels or {})
    if fields:
        raise Invalid("The enrolment token cannot be made.", fields=fields)
    fresh = secrets.make(secrets.ENROLMENT_PREFIX)
    with write_transaction():
        _ensure_token_quota(tenant)
        token = EnrolmentToken.objects.create(
            public_id=fresh.public_id,
            secret_sha256=fresh.secret_sha256,
            tenant=tenant,
            created_by=actor.name if isinstance(actor, Principal) else actor,
            expires_at=timezone.now() + timedelta(seconds=valid_seconds),
            max_uses=max_uses,
            labels=dict(labels or {}),
        )
        audit.record(actor, "enrolment_token.create", token, {"max_uses": max_uses})
    return token, fresh.text


def register(
    *,
    token: str,
    name: str,
    instance_id: str,
    system: Mapping[str, Any] | None = None,
    address: str = "",
) -> Registration:
    """Exchange an enrolment token for a host and its credential.

    Raises Unauthenticated for a token that is unknown, expired, revoked or used up,
    Invalid for bad fields, and QuotaExceeded when the tenant may have no more hosts. Asking
    again with the same instance_id gives the same host a new credential, until the first one
    was used.
    """
    name = name.strip()
    if fields := _field_errors(name, instance_id):
        raise Invalid("The registration is not valid.", fields=fields)
    parsed = secrets.parse(token, prefix=secrets.ENROLMENT_PREFIX)
    with write_transaction():
        row = _valid_token(parsed)
        waiting = Agent.objects.awaiting_first_use(row.tenant_id, instance_id).first()
        if waiting:
            return Registration(waiting, give_new_credential(waiting), is_new=False)
        hosts = Agent.objects.of_tenant(row.tenant_id).hosts().enrolled().count()
        limit = settings.MAX_AGENTS_PER_TENANT
        ensure_quota("agents", hosts, limit=limit, setting="DIALER_MAX_AGENTS_PER_TENANT")
        _consume(row)
        agent, text = create_main_agent(
            tenant_id=row.tenant_id,
            name=name,
            labels=row.labels,
            system=dict(system or {}),
            instance_id=instance_id,
            address=address,
        )
        audit.record(
            f"enrolment:{row.public_id}", "agent.register", agent, {"name": name}, address=address
        )
        events.agents_changed(agent.tenant_id, [agent.id])
    return Registration(agent, text, is_new=True)


def _ensure_token_quota(tenant: Tenant) -> None:
    """Raise QuotaExceeded when the tenant has as many tokens in force as it may."""
    good = EnrolmentToken.objects.filter(
        tenant=tenant, revoked_at=None, expires_at__gt=timezone.now(), uses__lt=F("max_uses")
    )
    limit, setting = settings.MAX_ENROLMENT_TOKENS_PER_TENANT, "MAX_ENROLMENT_TOKENS_PER_TENANT"
    ensure_quota("enrolment_tokens", good.count(), limit=limit, setting=f"DIALER_{setting}")


def _field_errors(name: str, instance_id: str) -> FieldErrors:
    """Return what is wrong with a registration's fields."""
    fields: dict[str, list[str]] = {}
    if not name or len(name) > MAX_NAME_CHARACTERS:
        fields["name"] = [f"Required, at most {MAX_NAME_CHARACTERS} characters."]
    if not instance_id or len(instance_id) > MAX_INSTANCE_CHARACTERS:
        fields["instance_id"] = [f"Required, at most {MAX_INSTANCE_CHARACTERS} characters."]
    return fields


def _valid_token(parsed: secrets.ParsedCredential | None) -> EnrolmentToken:
    """Return the token's row, whose uses are not judged yet; raises Unauthenticated."""
    row = parsed and EnrolmentToken.objects.filter(public_id=parsed.public_id).first()
    if not parsed or not row or not secrets.matches(parsed, row.secret_sha256):
        raise Unauthenticated("The enrolment token is unknown.", code="invalid_enrolment_token")
    if row.revoked_at:
        raise Unauthenticated("The enrolment token was revoked.", code="revoked_enrolment_token")
    if row.expires_at <= timezone.now():
        raise Unauthenticated("The enrolment token has expired.", code="expired_enrolment_token")
    return row


def _consume(row: EnrolmentToken) -> None:
    """Take one use of the token; the condition in the UPDATE decides between parallel tries."""
    taken = EnrolmentToken.objects.filter(
        id=row.id, uses__lt=F("max_uses"), revoked_at=None
    ).update(uses=F("uses") + 1)
    if not taken:
        raise Unauthenticated(
            "The enrolment token has been used already.", code="used_enrolment_token"
        )
