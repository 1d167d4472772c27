"""`manage.py enroll`: a token for a new host and the command to paste there."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents.distribution.installer import command_for
from agents.services.enrolment import create_enrolment_token
from dialer_platform.accounts.models import Tenant
from dialer_platform.accounts.models.tenant import DEFAULT_TENANT_ID
from dialer_platform.accounts.services import users
from dialer_platform.errors import DomainError
from dialer_platform.launch import certificate
from dialer_platform.launch.address import url_of


class Command(BaseCommand):
    """Prints an enrolment token, by default for one host within an hour."""

    help = "Print a new enrolment token and the command that adds a host."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare tenant, number of hosts, life and the server's address."""
        parser.add_argument("--tenant", default=DEFAULT_TENANT_ID, help="tenant id")
        parser.add_argument("--uses", type=int, default=1, help="how many hosts may use it")
        parser.add_argument("--hours", type=float, default=1.0, help="how long it is valid")
        parser.add_argument("--url", help="address of this server as the host sees it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the token; raises CommandError for an unknown tenant."""
        tenant = Tenant.objects.filter(id=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']!r}.")
        try:
            _, text = create_enrolment_token(
                actor=users.COMMAND_LINE,
                tenant=tenant,
                max_uses=options["uses"],
                valid_seconds=int(options["hours"] * 3600),
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        own = certificate.load(settings.TLS_CERT, settings.TLS_KEY)
        url = options["url"] or url_of(
            settings.DIALER_HOST, settings.DIALER_PORT, is_tls=own is not None
        )
        self.stdout.write(text)
        self.stdout.write(command_for(url.rstrip("/"), text))
