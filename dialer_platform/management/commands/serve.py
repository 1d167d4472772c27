"""`manage.py serve`: one more server process beside the one that `manage.py up` runs."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dialer_platform.launch import address, certificate, diagnosis, web_server


class Command(BaseCommand):
    """Serves what another process has prepared; starts no agent and changes no table."""

    help = "Run one more server process on the PostgreSQL, Redis and data directory of `up`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare --port."""
        parser.add_argument(
            "--port", type=int, default=settings.DIALER_PORT, help="instead of DIALER_PORT"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a stop signal; agents and browsers go to the other processes."""
        require_shared_storage()
        try:
            address.require_free(settings.DIALER_HOST, options["port"])
        except address.AddressUnusable as error:
            raise CommandError(str(error)) from error
        server = web_server.web_server(
            port=options["port"],
            certificate=certificate.load(settings.TLS_CERT, settings.TLS_KEY),
            on_ready=self.announce,
        )

        def on_signal(number: int, frame: FrameType | None) -> None:
            server.stop()

        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, on_signal)
        web_server.run(server)
        self.stdout.write("Stopped.")

    def announce(self, url: str) -> None:
        """Print where this process serves."""
        self.stdout.write(f"Dialer Platform also serves at {url}  (Ctrl-C stops it)")
        self.stdout.flush()


def require_shared_storage() -> None:
    """Raise CommandError where a second process cannot work, with what is missing."""
    needed = {"DATABASE_URL": not settings.DATABASE_URL, "REDIS_URL": not settings.REDIS_URL}
    if missing := [name for name, is_missing in needed.items() if is_missing]:
        raise CommandError(
            f"Several server processes share PostgreSQL and Redis: set {' and '.join(missing)}. "
            "One process alone is `manage.py up`."
        )
    try:
        count = diagnosis.missing_migrations()
    except DatabaseError as error:
        raise CommandError(f"The database of DATABASE_URL does not answer: {error}") from error
    if count:
        raise CommandError(f"The tables lack {count} migrations. Start `manage.py up` first.")
