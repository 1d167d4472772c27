"""Sends one message through one channel, once. Says by its error whether trying again helps."""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.core.mail import EmailMessage
from django.utils.translation import gettext as _

from tasks.alerts import guarded_http, payloads, sealing
from tasks.alerts.choices import ChannelKind
from tasks.alerts.message import Message
from tasks.alerts.models import Channel

MAIL_BYTES = 256 * 1024
WORTH_ANOTHER_TRY = frozenset({408, 425, 429})
MAX_PAUSE_SECONDS = 3600


@dataclass(slots=True)
class Undelivered(Exception):
    """It was not taken; `is_terminal`: it will not be taken later either."""

    detail: str
    is_terminal: bool = False
    pause_seconds: int = 0


def send(channel: Channel, message: Message) -> None:
    """Send; returns when the service has taken it, raises Undelivered."""
    try:
        address = sealing.unseal(channel.sealed_address)
        secret = sealing.unseal(channel.sealed_secret)
    except sealing.Unreadable as error:
        detail = _("Enter the channel's address again: the server's secret key was replaced.")
        raise Undelivered(detail, is_terminal=True) from error
    if channel.kind == ChannelKind.EMAIL:
        _send_mail(address, message)
    else:
        _post(channel.kind, address, secret, message)


def _send_mail(address: str, message: Message) -> None:
    """Send by the server's own mail relay."""
    recipients = [part.strip() for part in address.split(",") if part.strip()]
    subject = " ".join(message.subject.split())
    mail = EmailMessage(subject, message.text(MAIL_BYTES), to=recipients)
    mail.extra_headers["X-Dialer-Delivery"] = str(message.delivery_id)
    try:
        mail.send()
    except OSError as error:  # smtplib's errors are OSErrors too
        raise Undelivered(f"{type(error).__name__}: {error}"[:400]) from error


def _post(kind: str, address: str, secret: str, message: Message) -> None:
    """Post what the service wants and read whether it took it."""
    request = payloads.request_for(
        kind, address=address, secret=secret, message=message, now=time.time()
    )
    try:
        answer = guarded_http.post(request.url, body=request.body, headers=request.headers)
    except guarded_http.Denied as error:
        raise Undelivered(str(error), is_terminal=True) from error
    except guarded_http.Unreachable as error:
        raise Undelivered(str(error)) from error
    _judge(kind, answer)


def _judge(kind: str, answer: guarded_http.Answer) -> None:
    """Return if the answer means "taken"; raises Undelivered."""
    status = answer.status
    if 200 <= status < 300:
        refused = payloads.refusal(answer.body) if kind != ChannelKind.WEBHOOK else ""
        if refused:
            raise Undelivered(_("The service refused it: %(why)s") % {"why": refused})
        return
    if 300 <= status < 400:
        detail = _("It answered with a redirect (%(status)d), which is not followed.")
        raise Undelivered(detail % {"status": status}, is_terminal=True)
    pause = int(answer.retry_after) if answer.retry_after.isdecimal() else 0
    raise Undelivered(
        _("It answered with status %(status)d.") % {"status": status},
        is_terminal=400 <= status < 500 and status not in WORTH_ANOTHER_TRY,
        pause_seconds=min(pause, MAX_PAUSE_SECONDS),
    )
