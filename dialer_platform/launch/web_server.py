"""The web server of this process as the settings describe it, whichever command runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.management.base import CommandError

from dialer_platform.launch import address
from dialer_platform.launch.certificate import ServerCertificate

if TYPE_CHECKING:
    from dialer_platform.serving import WebServer


def web_server(
    *, port: int, certificate: ServerCertificate | None, on_ready: Callable[[str], None]
) -> WebServer:
    """Return the server, not yet listening; `on_ready` is told its address for a browser here."""
    # Both set up the event loop as they are imported: not before somebody serves.
    from dialer_platform.asgi import application
    from dialer_platform.serving import WebServer

    def ready(host: str, port: int) -> None:
        on_ready(address.url_of(host, port, is_tls=certificate is not None))

    return WebServer(
        application,
        host=settings.DIALER_HOST,
        port=port,
        trusted_proxies=settings.TRUSTED_PROXIES,
        certificate=certificate,
        on_ready=ready,
    )


def run(server: WebServer) -> None:
    """Serve until told to stop; raises CommandError when the address is taken meanwhile."""
    if not server.run():
        raise CommandError("The address was taken meanwhile; try again.")
