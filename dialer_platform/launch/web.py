"""The web server as the settings describe it, for the commands that run one.

Owns what `up` and `serve` must not do differently: address, certificate, trusted proxies,
the signals that end a server. Prints nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from django.conf import settings

from dialer_platform.launch import address, certificate
from dialer_platform.launch.certificate import ServerCertificate
from dialer_platform.serving import WebServer

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Ready = Callable[[str, ServerCertificate | None], None]


def web_server(on_ready: Ready) -> WebServer:
    """Return the server; `on_ready` is told its address for a browser, and its certificate."""
    # Importing it makes the whole application: only where one is to be served.
    from dialer_platform.asgi import application

    own = certificate.load(settings.TLS_CERT, settings.TLS_KEY)
    return WebServer(
        application,
        host=settings.DIALER_HOST,
        port=settings.DIALER_PORT,
        trusted_proxies=settings.TRUSTED_PROXIES,
        certificate=own,
        on_ready=lambda host, port: on_ready(
            address.url_of(host, port, is_tls=own is not None), own
        ),
    )


def on_stop_signals(leave: Callable[[], None]) -> None:
    """Call `leave` at each signal that asks the process to end."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        leave()

    for name in STOP_SIGNALS:
        signal.signal(name, on_signal)
