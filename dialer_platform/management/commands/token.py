"""`manage.py token USER`: a new API token, alone on the last line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dialer_platform.accounts.choices import Scope
from dialer_platform.accounts.models import User
from dialer_platform.accounts.principal import principal_for
from dialer_platform.accounts.services import tokens, users
from dialer_platform.errors import DomainError


class Command(BaseCommand):
    """Prints a token that acts in its user's tenant."""

    help = "Print a new API token for a user, alone on the last line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare whose token, where, how far and how long."""
        parser.add_argument("user", help="user name")
        parser.add_argument("--tenant", help="tenant (the user's first one)")
        parser.add_argument("--name", default="", help="what the token is for")
        parser.add_argument("--scope", choices=Scope.values, default=Scope.ADMIN.value)
        parser.add_argument("--days", type=int, default=tokens.DEFAULT_LIFE_DAYS, help="0 = ever")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the token; raises CommandError for an unknown user or one without a tenant."""
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}. Make one: manage.py user")
        principal = principal_for(user, tenant_id=options["tenant"])
        if principal is None:
            raise CommandError(f"{user} is disabled or does not belong to that tenant.")
        try:
            _, text = tokens.create_token(
                user=user,
                tenant=principal.tenant,
                by=users.COMMAND_LINE,
                name=options["name"],
                scope=options["scope"],
                life_days=options["days"] or None,
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stderr.write(f"Token of {user} in tenant {principal.tenant.id}, shown this once:")
        self.stdout.write(text)
