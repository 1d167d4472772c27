"""`manage.py up`: everything on this machine with one command."""

from __future__ import annotations

import os
import socket
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from agents.models import Agent
from agents.services.enrolment import create_enrolment_token
from dialer_platform.accounts.models import Tenant
from dialer_platform.accounts.models.tenant import DEFAULT_TENANT_ID
from dialer_platform.accounts.services import users
from dialer_platform.launch import address, data_dir, web
from dialer_platform.launch.certificate import ServerCertificate
from dialer_platform.launch.local_agent import LocalAgent, agent_command, set_identity_aside
from templates_app.services.starters import load_starter_templates

LOCAL_AGENT_SLOTS = 8
AGENT_STATE_DIR = settings.DIALER_DATA_DIR / "agent"


class Command(BaseCommand):
    """Prepares the installation, then runs the server and one local agent until Ctrl-C."""

    help = "Migrate, create what is missing, and run the server with one local agent."

    def __init__(self, *args: Any, **options: Any) -> None:
        """Start with nothing running."""
        super().__init__(*args, **options)
        self.agent: LocalAgent | None = None
        self.stopping = threading.Event()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare --no-agent."""
        parser.add_argument("--no-agent", action="store_true", help="run the server only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a stop signal; a second one does not wait for the agent."""
        lock = self.take_possession()
        self.prepare()

        def ready(url: str, own: ServerCertificate | None) -> None:
            self.announce(url)
            if not options["no_agent"]:
                self.agent = local_agent(url, fingerprint=own.fingerprint if own else "")
                self.agent.start()

        server = web.web_server(ready)
        self.stop_on_signals(server.stop)
        is_served = server.run()
        lock.close()
        if not is_served:
            raise CommandError("The address was taken meanwhile; try again.")
        self.stdout.write("Stopped. Running tasks go on; the next start adopts them.")

    def take_possession(self) -> Any:
        """Make sure that the address and the data directory are ours; raises CommandError."""
        data_dir.make_private(settings.DIALER_DATA_DIR)
        try:
            lock = data_dir.lock(settings.DIALER_DATA_DIR)
            address.require_free(settings.DIALER_HOST, settings.DIALER_PORT)
        except data_dir.DataDirectoryInUse as error:
            raise CommandError(
                f"The data directory {settings.DIALER_DATA_DIR} is in use by {error}. "
                "Stop that server first, or set DIALER_DATA_DIR."
            ) from error
        except address.AddressUnusable as error:
            raise CommandError(str(error)) from error
        return lock

    def prepare(self) -> None:
        """Bring the database up to date and create what a first start needs."""
        for name in settings.DATABASES:
            call_command("migrate", database=name, interactive=False, verbosity=0)
        self.create_administrator()
        tenant = Tenant.objects.get(id=DEFAULT_TENANT_ID)
        load_starter_templates(tenant)
        set_identity_aside(
            AGENT_STATE_DIR, is_known=lambda id: Agent.objects.filter(id=id).exists()
        )

    def create_administrator(self) -> None:
        """Create the first administrator and print the password once, if we made it."""
        preset = settings.DIALER_ADMIN_PASSWORD
        password = preset or users.random_password()
        name = settings.DIALER_ADMIN_USER
        if users.create_first_administrator(username=name, password=password):
            shown = "as set in DIALER_ADMIN_PASSWORD" if preset else password
            self.stdout.write(f"First start: user {name}, password {shown}")

    def announce(self, url: str) -> None:
        """Print where the console is."""
        self.stdout.write(f"Dialer Platform is ready at {url}  (Ctrl-C stops it)")
        self.stdout.flush()

    def stop_on_signals(self, stop_server: Any) -> None:
        """End the agent, then the server; again: at once."""

        def leave() -> None:
            if self.agent is not None:
                self.agent.stop()
            stop_server()

        def on_signal() -> None:
            if self.stopping.is_set():
                stop_server()
                return
            self.stopping.set()
            # Waiting for the agent must not block the loop: it still talks to this server.
            threading.Thread(target=leave, name="leave", daemon=True).start()

        web.on_stop_signals(on_signal)


def local_agent(url: str, *, fingerprint: str = "") -> LocalAgent:
    """Return the agent of this machine, named after it, with its state in the data directory.

    It believes the server's own certificate by its digest, whoever signed it and whatever
    names stand in it: both come from this very process.
    """
    environment = {
        "AGENT_TASK_MAX_CONCURRENT_TASKS": str(LOCAL_AGENT_SLOTS),
        "AGENT_LOGGING_LOG_DIR": str(settings.SYSTEM_LOG_DIR),
        # The address is one of this machine, so nothing crosses a network.
        "AGENT_CONNECTION_ALLOW_PLAIN_HTTP": "1",
        **{name: value for name, value in os.environ.items() if is_for_agent(name)},
    }
    if fingerprint:
        environment["AGENT_CONNECTION_SERVER_FINGERPRINT"] = fingerprint
    return LocalAgent(
        command=agent_command(url=url, name=socket.gethostname(), state_dir=AGENT_STATE_DIR),
        state_dir=AGENT_STATE_DIR,
        environment=environment,
        working_dir=settings.BASE_DIR,
        new_token=enrolment_token,
    )


def is_for_agent(name: str) -> bool:
    """Tell whether a variable may reach the agent: the server's own secrets may not."""
    return not name.startswith(("DIALER_", "DATABASE_URL", "REDIS_URL", "DJANGO_"))


def enrolment_token() -> str:
    """Return a fresh token for one host of the default tenant."""
    try:
        tenant = Tenant.objects.get(id=DEFAULT_TENANT_ID)
        return create_enrolment_token(actor=users.COMMAND_LINE, tenant=tenant)[1]
    finally:
        connection.close()  # The thread that keeps the agent alive needs none between starts.
