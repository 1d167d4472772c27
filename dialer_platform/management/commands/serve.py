"""`manage.py serve`: one further server process beside `manage.py up`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, connections

from dialer_platform.launch import address, data_dir, diagnosis, options, web
from dialer_platform.launch.certificate import ServerCertificate


class Command(BaseCommand):
    """Runs the web server with its background services, and no agent, until a stop signal."""

    help = "Run one further server process; all of them share PostgreSQL, Redis and the data."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what `manage.py` has already made settings of."""
        options.add_address(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a stop signal; raises CommandError where it could not work."""
        require_shared_services()
        data_dir.make_private(settings.DIALER_DATA_DIR)
        try:
            address.require_free(settings.DIALER_HOST, settings.DIALER_PORT)
        except address.AddressUnusable as error:
            raise CommandError(str(error)) from error
        require_tables()
        server = web.web_server(self.announce)
        web.on_stop_signals(server.stop)
        if not server.run():
            raise CommandError("The address was taken meanwhile; try again.")
        self.stdout.write("Stopped. The other server processes go on.")

    def announce(self, url: str, own: ServerCertificate | None) -> None:
        """Print where this process answers."""
        self.stdout.write(f"A further server process is ready at {url}  (Ctrl-C stops it)")
        self.stdout.flush()


def require_shared_services() -> None:
    """Raise CommandError unless the settings name what several processes share."""
    if connection.vendor == "sqlite":
        raise CommandError(
            "Several server processes need PostgreSQL: set DATABASE_URL as for the first one."
        )
    if not settings.REDIS_URL:
        raise CommandError(
            "Several server processes need Redis: set REDIS_URL as for the first one."
        )


def require_tables() -> None:
    """Raise CommandError unless the database answers and has this version's tables."""
    try:
        finding = diagnosis.check_migrations()
    except DatabaseError as error:
        reason = str(error).partition("\n")[0]
        raise CommandError(
            f"The database does not answer: {reason}. Start it, or mend DATABASE_URL."
        ) from error
    finally:
        connections.close_all()  # This thread needs none while it serves.
    if finding.level != "ok":
        raise CommandError(
            f"The database is not ready, {finding.text}: start `manage.py up` first."
        )
