"""Makes and revokes the API tokens of people; a secret leaves this module exactly once."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from dialer_platform.accounts import secrets
from dialer_platform.accounts.choices import Scope
from dialer_platform.accounts.models import ApiToken, Tenant, User
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict
from dialer_platform.quotas import ensure_quota
from dialer_platform.storage import write_transaction

DEFAULT_LIFE_DAYS = 90
USE_NOTED_SECONDS = 300.0


def create_token(
    *,
    user: User,
    tenant: Tenant,
    by: Principal | str,
    name: str = "",
    scope: str = Scope.ADMIN,
    life_days: int | None = DEFAULT_LIFE_DAYS,
) -> tuple[ApiToken, str]:
    """Return a new token and its text, which is shown once and never stored.

    Raises QuotaExceeded when the person has as many in force as one may.
    """
    fresh = secrets.make(secrets.USER_PREFIX)
    with write_transaction():
        alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        used = ApiToken.objects.filter(alive, user=user, revoked_at=None).count()
        limit = settings.MAX_TOKENS_PER_USER
        ensure_quota("tokens", used, limit=limit, setting="DIALER_MAX_TOKENS_PER_USER")
        token = ApiToken.objects.create(
            public_id=fresh.public_id,
            secret_sha256=fresh.secret_sha256,
            user=user,
            tenant=tenant,
            name=name,
            scope=scope,
            expires_at=_expiry(life_days),
        )
        audit.record(by, "token.created", token, {"user": user.get_username(), "scope": scope})
    return token, fresh.text


def revoke_token(token: ApiToken, *, by: Principal | str) -> None:
    """End a token now; raises Conflict when it was revoked before."""
    with write_transaction():
        changed = ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(
            revoked_at=timezone.now()
        )
        if not changed:
            raise Conflict("The token is revoked already.", code="already_revoked")
        audit.record(by, "token.revoked", token)


def revoke_all_tokens(user: User, *, by: Principal | str) -> int:
    """End every token of a person in every tenant; returns how many were in force.

    A changed password ends sessions only: programs that use a token would stop without
    a word. Whoever fears that a token leaked says so with this.
    """
    with write_transaction():
        found = list(ApiToken.objects.filter(user=user, revoked_at__isnull=True))
        ApiToken.objects.filter(pk__in=[token.pk for token in found]).update(
            revoked_at=timezone.now()
        )
        for token in found:
            audit.record(by, "token.revoked", token)
    return len(found)


def note_use(token: ApiToken) -> None:
    """Remember that the token was used, at most once in five minutes: a beat costs no write."""
    now = timezone.now()
    stale = now - timedelta(seconds=USE_NOTED_SECONDS)
    if token.last_used_at is None or token.last_used_at < stale:
        with write_transaction():
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)


def _expiry(life_days: int | None) -> datetime | None:
    """Return when a token of that many days ends; None never does."""
    return None if life_days is None else timezone.now() + timedelta(days=life_days)
