"""`manage.py user NAME`: a new person with a role in a tenant, or a new role for a known one."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.models import Tenant, User
from dialer_platform.accounts.models.tenant import DEFAULT_TENANT_ID
from dialer_platform.accounts.services import users
from dialer_platform.errors import DomainError


class Command(BaseCommand):
    """Creates a user and prints the password if it had to invent one."""

    help = "Create a user in a tenant, or give a known user a role there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare name, tenant, role and password."""
        parser.add_argument("name", help="user name")
        parser.add_argument("--tenant", default=DEFAULT_TENANT_ID, help="tenant id")
        parser.add_argument("--role", choices=Role.values, default=Role.OPERATOR.value)
        parser.add_argument("--password", help="password (a random one is made and printed)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the user or the membership; raises CommandError with the reason."""
        tenant = Tenant.objects.filter(id=options["tenant"]).first()
        if tenant is None:
            raise CommandError(
                f"There is no tenant {options['tenant']!r}. Make one: manage.py tenant NAME"
            )
        try:
            self.give(options["name"], tenant, options["role"], options["password"])
        except DomainError as error:
            lines = [line for sentences in error.fields.values() for line in sentences]
            raise CommandError(" ".join(lines) or error.detail) from error

    def give(self, name: str, tenant: Tenant, role: str, password: str | None) -> None:
        """Create the person, or add the role to one who exists."""
        known = User.objects.filter(username=name).first()
        if known is not None:
            users.set_role(user=known, tenant=tenant, role=role, by=users.COMMAND_LINE)
            self.stdout.write(f"{name} is now {role} in {tenant.id}.")
            return
        chosen = password or users.random_password()
        users.create_user(username=name, tenant=tenant, role=role, password=chosen)
        self.stdout.write(f"Created {name}, {role} in {tenant.id}.")
        if not password:
            self.stdout.write(f"Password, shown this once: {chosen}")
