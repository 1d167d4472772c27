"""What each service wants to be sent, and how it says that it did not take it.

Pure: address, secret, message and moment in, request out. The chat services answer
refusals with HTTP 200 and a code in the body, so the body is read as well. Sources: the
services' own pages on incoming webhooks and custom robots.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlsplit

from tasks.alerts.choices import ChannelKind
from tasks.alerts.message import Message

JSON = {"Content-Type": "application/json; charset=utf-8"}
WECOM_BYTES = 2_048
CHAT_BYTES = 16_000


@dataclass(frozen=True, slots=True)
class Request:
    """One POST."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: dict(JSON))


Builder = Callable[[str, str, Message, float], Request]


def request_for(kind: str, *, address: str, secret: str, message: Message, now: float) -> Request:
    """Return the request of a service; now is seconds since the epoch, for signatures."""
    return BUILDERS[kind](address, secret, message, now)


def refusal(body: bytes) -> str:
    """Return why a service did not take a message it answered with 200; "" when it did."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    code = next((answer[name] for name in ("errcode", "code", "StatusCode") if name in answer), 0)
    if code in (0, "0", None):
        return ""
    words = answer.get("errmsg") or answer.get("msg") or ""
    return f"{code} {words}".strip()[:300]


def webhook(address: str, secret: str, message: Message, _now: float) -> Request:
    """Return our own format: everything there is to know, signed when a secret is given."""
    body = _json(
        {
            "delivery_id": message.delivery_id,
            "tenant": message.tenant_id,
            "rule": message.rule,
            "subject": message.subject,
            "is_good_news": message.is_good_news,
            "omitted": message.omitted,
            "notices": [
                {**notice, "url": f"{message.public_url}{notice.get('url', '')}"}
                for notice in message.notices
            ],
        }
    )
    headers = {**JSON, "X-Dialer-Delivery": str(message.delivery_id)}
    if secret:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Dialer-Signature"] = f"sha256={digest}"
    return Request(address, body, headers)


def slack(address: str, _secret: str, message: Message, _now: float) -> Request:
    """Return an attachment with a colour; Mattermost and Rocket.Chat read the same."""
    colour = "#146c43" if message.is_good_news else "#b82633"
    text = _slack_text(message.text(CHAT_BYTES))
    attachment = {"color": colour, "text": text, "fallback": _slack_text(message.subject)}
    return Request(
        address, _json({"text": _slack_text(message.subject), "attachments": [attachment]})
    )


def feishu(address: str, secret: str, message: Message, now: float) -> Request:
    """Return a card with a coloured head; the text is plain, so nothing in it is markup."""
    card: dict[str, Any] = {
        "header": {
            "title": {"tag": "plain_text", "content": message.subject},
            "template": "green" if message.is_good_news else "red",
        },
        "elements": [
            {"tag": "div", "text": {"tag": "plain_text", "content": message.text(CHAT_BYTES)}}
        ],
    }
    content: dict[str, Any] = {"msg_type": "interactive", "card": card}
    if secret:
        stamp = str(int(now))
        # The robot's odd rule: the key is the text, what is signed is empty.
        content |= {"timestamp": stamp, "sign": _signature(f"{stamp}\n{secret}", "")}
    return Request(address, _json(content))


def dingtalk(address: str, secret: str, message: Message, now: float) -> Request:
    """Return a plain text message; the signature goes into the address."""
    if secret:
        stamp = str(int(now * 1000))
        sign = quote_plus(_signature(secret, f"{stamp}\n{secret}"))
        join = "&" if urlsplit(address).query else "?"
        address = f"{address}{join}timestamp={stamp}&sign={sign}"
    text = {"content": message.text(CHAT_BYTES)}
    return Request(address, _json({"msgtype": "text", "text": text}))


def wecom(address: str, _secret: str, message: Message, _now: float) -> Request:
    """Return a plain text message of at most 2,048 bytes."""
    text = {"content": message.text(WECOM_BYTES)}
    return Request(address, _json({"msgtype": "text", "text": text}))


BUILDERS: dict[str, Builder] = {
    ChannelKind.WEBHOOK: webhook,
    ChannelKind.SLACK: slack,
    ChannelKind.FEISHU: feishu,
    ChannelKind.DINGTALK: dingtalk,
    ChannelKind.WECOM: wecom,
}


def _json(content: Any) -> bytes:
    """Return JSON that people can read on the wire."""
    return json.dumps(content, ensure_ascii=False).encode()


def _signature(key: str, text: str) -> str:
    """Return the HMAC-SHA256 in base64."""
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def _slack_text(text: str) -> str:
    """Return text in which nothing is a mention, a link or a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
