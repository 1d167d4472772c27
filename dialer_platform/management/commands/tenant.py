"""`manage.py tenant NAME`: a new tenant."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dialer_platform.accounts.services import users
from dialer_platform.errors import DomainError


class Command(BaseCommand):
    """Prints the id of the tenant it made."""

    help = "Create a tenant: a closed group of people, hosts and tasks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the name."""
        parser.add_argument("name", help="name; its id is derived from it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the tenant; raises CommandError when there is one already."""
        try:
            tenant = users.create_tenant(name=options["name"])
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(tenant.id)
