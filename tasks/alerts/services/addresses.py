"""What an address of each kind must look like, and what of it may be shown. Pure."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from tasks.alerts.choices import ChannelKind

MAX_CHARACTERS = 2_000
MAX_RECIPIENTS = 20
KNOWN_HOSTS = {
    ChannelKind.SLACK: ("hooks.slack.com",),
    ChannelKind.FEISHU: ("open.feishu.cn", "open.larksuite.com"),
    ChannelKind.DINGTALK: ("oapi.dingtalk.com",),
    ChannelKind.WECOM: ("qyapi.weixin.qq.com",),
}
EXAMPLES = {
    ChannelKind.WEBHOOK: "https://example.org/hook",
    ChannelKind.EMAIL: "ops@example.org, oncall@example.org",
    ChannelKind.SLACK: "https://hooks.slack.com/services/…",
    ChannelKind.FEISHU: "https://open.feishu.cn/open-apis/bot/v2/hook/…",
    ChannelKind.DINGTALK: "https://oapi.dingtalk.com/robot/send?access_token=…",
    ChannelKind.WECOM: "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…",
}


def fault_of(kind: str, address: str) -> str:
    """Return what is wrong with an address, as a sentence with the remedy; "" when right."""
    if not address.strip():
        return _("Required: for example %s") % EXAMPLES[ChannelKind(kind)]
    if len(address) > MAX_CHARACTERS or not address.isprintable():
        return _("At most %d printable characters.") % MAX_CHARACTERS
    if kind == ChannelKind.EMAIL:
        return _mail_fault(address)
    return _url_fault(address)


def hint_of(kind: str, address: str) -> str:
    """Return what may be shown: recipients, or the host of an address and nothing after it."""
    if kind == ChannelKind.EMAIL:
        return address.strip()[:200]
    parts = _split(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"[:200] if parts else ""


def kind_of(address: str) -> str:
    """Guess the kind of an address, for the form and for callers that name none."""
    parts = _split(address)
    if parts is None or not parts.hostname:
        return ChannelKind.EMAIL if "@" in address else ChannelKind.WEBHOOK
    for kind, hosts in KNOWN_HOSTS.items():
        if parts.hostname in hosts:
            return kind
    return ChannelKind.WEBHOOK


def _url_fault(address: str) -> str:
    """Return what is wrong with the address of a hook."""
    parts = _split(address)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return _("Must be an address that begins with https:// or http://.")
    if parts.username is not None:
        return _("Must not hold a user name or password.")
    return ""


def _mail_fault(address: str) -> str:
    """Return what is wrong with a list of recipients."""
    recipients = [part.strip() for part in address.split(",") if part.strip()]
    if len(recipients) > MAX_RECIPIENTS:
        return _("At most %d recipients.") % MAX_RECIPIENTS
    for recipient in recipients:
        try:
            validate_email(recipient)
        except ValidationError:
            return _("%s is not an e-mail address.") % recipient
    return ""


def _split(address: str) -> SplitResult | None:
    """Return the parts of an address, None when it has no readable host or port."""
    try:
        parts = urlsplit(address.strip())
        has_port = parts.port is None or parts.port > 0  # reading it raises for a wrong one
    except ValueError:
        return None
    return parts if has_port else None
