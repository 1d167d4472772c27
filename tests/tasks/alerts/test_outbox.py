"""Deliveries: sent, tried again, given up, dropped."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from tasks.alerts import sending
from tasks.alerts.models import Channel, Delivery
from tasks.alerts.services import outbox
from tasks.alerts.services.channels import create_channel, test_channel, update_channel
from tasks.alerts.services.cleaning import clean


@pytest.fixture
def delivery(channel, principal) -> Delivery:
    """A test message that waits."""
    return test_channel(channel, by=principal)


def sent(delivery: Delivery, later: timedelta = timedelta(0)) -> Delivery:
    """Try what is due and return the delivery as it is then."""
    outbox.send_due(timezone.now() + later)
    delivery.refresh_from_db()
    return delivery


def test_delivery_arrives(delivery, receiver) -> None:
    assert sent(delivery).state == "delivered"
    assert receiver.got[0]["notices"][0]["kind"] == "test"
    assert receiver.headers[0]["X-Dialer-Delivery"] == str(delivery.pk)


def test_delivered_message_is_not_sent_again(delivery, receiver) -> None:
    sent(delivery)
    sent(delivery, timedelta(hours=1))
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_delivery_waits_for_another_try_when_the_service_is_busy(
    delivery, receiver, status
) -> None:
    receiver.status = status
    assert sent(delivery).state == "pending"
    assert (delivery.attempts, str(status) in delivery.error) == (1, True)
    receiver.status = 200
    assert sent(delivery, timedelta(minutes=1)).state == "delivered"


def test_pause_follows_what_the_service_asks_for(delivery, receiver) -> None:
    receiver.status, receiver.headers_sent = 429, {"Retry-After": "600"}
    assert sent(delivery).due_at > timezone.now() + timedelta(seconds=590)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
def test_delivery_fails_at_once_when_trying_again_is_useless(delivery, receiver, status) -> None:
    receiver.status = status
    assert sent(delivery).state == "failed"


def test_delivery_fails_after_the_last_try(delivery, receiver) -> None:
    receiver.status = 500
    for _ in range(outbox.MAX_ATTEMPTS):
        Delivery.objects.update(due_at=timezone.now())
        sent(delivery)
    assert (delivery.state, len(receiver.got)) == ("failed", outbox.MAX_ATTEMPTS)


def test_failed_delivery_is_tried_again_on_request(delivery, receiver) -> None:
    receiver.status = 404
    sent(delivery)
    receiver.status = 200
    outbox.retry(delivery, timezone.now())
    assert sent(delivery).state == "delivered"


def test_pauses_grow_to_an_hour() -> None:
    pauses = [outbox.pause_seconds(attempts, 1.0) for attempts in (1, 2, 3, 12)]
    assert pauses == [15, 30, 60, 3600]
    assert outbox.pause_seconds(1, 0.0) == 11.25


def test_claim_of_a_dead_sender_is_given_back(delivery) -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    Delivery.objects.update(state="sending", claimed_at=long_ago)
    assert outbox.release_stale(timezone.now()) == 1
    assert sent(delivery).state == "delivered"


def test_claim_under_way_is_left_alone(delivery) -> None:
    Delivery.objects.update(state="sending", claimed_at=timezone.now())
    assert outbox.release_stale(timezone.now()) == 0
    assert outbox.send_due(timezone.now()) == 0


def test_fault_of_ours_is_bounded_like_every_other(delivery, monkeypatch) -> None:
    monkeypatch.setattr(outbox, "send", lambda *_: 1 / 0)
    assert (sent(delivery).state, delivery.error) == ("pending", "ZeroDivisionError")


def test_oldest_is_dropped_when_too_many_wait(channel, principal, monkeypatch) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 2)
    ids = [test_channel(channel, by=principal).pk for _ in range(3)]
    states = dict(Delivery.objects.values_list("id", "state"))
    assert [states[number] for number in ids] == ["dropped", "pending", "pending"]


def test_switched_off_channel_fails_its_deliveries(delivery, channel, principal) -> None:
    update_channel(channel, by=principal, fields={"is_enabled": False})
    assert sent(delivery).state == "failed"


def test_replaced_secret_key_is_said(delivery, settings) -> None:
    settings.SECRET_KEY = "another"
    assert "secret key" in sent(delivery).error


def test_webhook_is_signed_with_the_secret(principal, receiver) -> None:
    fields = {"name": "signed", "address": receiver.url, "secret": "s3cret"}
    sent(test_channel(create_channel(by=principal, fields=fields), by=principal))
    body = json.dumps(receiver.got[0], ensure_ascii=False).encode()
    digest = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert receiver.headers[0]["X-Dialer-Signature"] == f"sha256={digest}"


@pytest.mark.parametrize("kind", ["feishu", "dingtalk", "wecom"])
def test_refusal_inside_a_good_status_is_seen(principal, receiver, kind) -> None:
    receiver.answer = b'{"errcode": 310000, "errmsg": "sign not match"}'
    fields = {"name": kind, "kind": kind, "address": receiver.url}
    delivery = sent(test_channel(create_channel(by=principal, fields=fields), by=principal))
    assert delivery.state == "pending"
    assert "310000 sign not match" in delivery.error


def test_mail_goes_to_every_recipient(principal, mailoutbox) -> None:
    fields = {"name": "mail", "address": "a@example.org, b@example.org"}
    delivery = sent(test_channel(create_channel(by=principal, fields=fields), by=principal))
    assert delivery.state == "delivered"
    assert mailoutbox[0].to == ["a@example.org", "b@example.org"]
    assert "\n" not in mailoutbox[0].subject


def test_unreachable_mail_relay_is_tried_again(principal, monkeypatch) -> None:
    monkeypatch.setattr(sending.EmailMessage, "send", _refuse)
    fields = {"name": "mail", "address": "a@example.org"}
    delivery = sent(test_channel(create_channel(by=principal, fields=fields), by=principal))
    assert delivery.state == "pending"


def _refuse(*_: object) -> None:
    """Be a relay that is not there."""
    raise ConnectionRefusedError("refused")


def test_old_deliveries_are_deleted(delivery) -> None:
    sent(delivery)
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    assert clean() == 1
    assert Channel.objects.exists()
