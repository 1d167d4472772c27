"""What each service is sent, checked against the services' own descriptions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tasks.alerts import payloads
from tasks.alerts.message import Message

NOW = 1_700_000_000.5


def notice(**changes: object) -> dict[str, object]:
    """Return one notice."""
    values = {
        "kind": "fired",
        "event": "probe_down",
        "key": "probe:1",
        "title": "shop <is> down & out",
        "text": "connection refused",
        "url": "/probes/1/",
        "since": "2026-01-01T00:00:00+00:00",
        "at": "2026-01-01T00:00:30+00:00",
    }
    return {**values, **changes}


def message(*notices: dict[str, object], omitted: int = 0) -> Message:
    """Return a message of the notices."""
    return Message(7, "default", "all", notices or (notice(),), omitted, "https://d.example")


def body_of(kind: str, said: Message, secret: str = "") -> dict[str, object]:
    """Return what a service is sent."""
    request = payloads.request_for(
        kind, address="https://x.example/hook", secret=secret, message=said, now=NOW
    )
    return json.loads(request.body)


TEXT = "shop <is> down & out\nconnection refused\nhttps://d.example/probes/1/"


def test_slack_text_is_escaped_and_coloured() -> None:
    body = body_of("slack", message())
    assert body["text"] == "shop &lt;is&gt; down &amp; out"
    assert body["attachments"][0]["color"] == "#b82633"


def test_recovery_is_green() -> None:
    assert (
        body_of("slack", message(notice(kind="recovered")))["attachments"][0]["color"] == "#146c43"
    )
    assert (
        body_of("feishu", message(notice(kind="recovered")))["card"]["header"]["template"]
        == "green"
    )


def test_feishu_card_holds_plain_text() -> None:
    body = body_of("feishu", message())
    assert (body["msg_type"], body["card"]["header"]["template"]) == ("interactive", "red")
    assert body["card"]["elements"][0]["text"] == {"tag": "plain_text", "content": TEXT}
    assert "sign" not in body


def test_feishu_signature_follows_its_rule() -> None:
    body = body_of("feishu", message(), secret="s")
    digest = hmac.new(b"1700000000\ns", b"", hashlib.sha256).digest()
    assert body["timestamp"] == "1700000000"
    assert body["sign"] == base64.b64encode(digest).decode()


def test_dingtalk_is_text_with_the_signature_in_the_address() -> None:
    address = "https://oapi.dingtalk.com/robot/send?access_token=t"
    request = payloads.request_for(
        "dingtalk", address=address, secret="s", message=message(), now=NOW
    )
    query = parse_qs(urlsplit(request.url).query)
    digest = hmac.new(b"s", b"1700000000500\ns", hashlib.sha256).digest()
    assert query["sign"] == [base64.b64encode(digest).decode()]
    assert query["access_token"] == ["t"]
    assert json.loads(request.body) == {"msgtype": "text", "text": {"content": TEXT}}


def test_wecom_text_fits_its_limit() -> None:
    body = body_of("wecom", message(notice(text="磁盘" * 2_000)))
    assert body["msgtype"] == "text"
    assert len(body["text"]["content"].encode()) <= 2_048


def test_webhook_says_everything() -> None:
    body = body_of("webhook", message(notice(), notice(kind="recovered"), omitted=3))
    assert (body["delivery_id"], body["tenant"], body["omitted"]) == (7, "default", 3)
    assert body["notices"][0]["url"] == "https://d.example/probes/1/"
    assert body["subject"] == "shop <is> down & out (+4 more)"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"errcode":0,"errmsg":"ok"}', ""),
        (b'{"code":0,"msg":"success"}', ""),
        (b'{"StatusCode":0}', ""),
        (b"ok", ""),
        (b"[1]", ""),
        (b'{"code":19021,"msg":"sign match fail"}', "19021 sign match fail"),
        (b'{"errcode":93000,"errmsg":"invalid webhook url"}', "93000 invalid webhook url"),
    ],
)
def test_refusal_is_read_from_the_body(body: bytes, said: str) -> None:
    assert payloads.refusal(body) == said
