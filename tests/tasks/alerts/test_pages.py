"""The alerts page and its forms."""

from __future__ import annotations

import pytest

from tasks.alerts.models import Channel, Delivery, Rule
from tasks.alerts.services.evaluate import evaluate


@pytest.fixture
def browser(page_client, admin_user):
    """The administrator's browser."""
    return page_client(admin_user)


RULE = {
    "name": "night",
    "events": ["probe_down"],
    "min_duration_seconds": 60,
    "group_seconds": 5,
    "renotify_seconds": 0,
    "certificate_days": 14,
    "language": "en",
    "labels": "team=web, core",
}


def test_empty_page_says_what_to_do(browser) -> None:
    text = browser.get("/alerts/").content.decode()
    assert "A channel is where messages go" in text
    assert "Nothing is told without one" in text


def test_page_shows_what_is_wrong_now(browser, rule, wrong, problem) -> None:
    wrong.append(problem(title="shop <b>is</b> down"))
    evaluate()
    text = browser.get("/alerts/").content.decode()
    assert "shop &lt;b&gt;is&lt;/b&gt; down" in text
    assert f'data-testid="rule-row-{rule.pk}"' in text


def test_channel_is_made_by_the_form(browser) -> None:
    fields = {"name": "ops", "kind": "email", "address": "a@example.org", "is_enabled": "on"}
    assert browser.post("/alerts/channels/new/", fields).status_code == 302
    assert Channel.objects.get().hint == "a@example.org"


def test_wrong_channel_is_shown_beside_its_field(browser) -> None:
    fields = {"name": "ops", "kind": "webhook", "address": "nowhere"}
    answer = browser.post("/alerts/channels/new/", fields)
    assert answer.status_code == 422
    assert "begins with https://" in answer.content.decode()


def test_form_of_a_channel_keeps_its_address_to_itself(browser, principal) -> None:
    from tasks.alerts.services.channels import create_channel

    url = "https://oapi.dingtalk.com/robot/send?access_token=topsecret"
    channel = create_channel(by=principal, fields={"name": "ding", "address": url})
    text = browser.get(f"/alerts/channels/{channel.pk}/").content.decode()
    assert "oapi.dingtalk.com" in text
    assert "topsecret" not in text


def test_rule_is_made_and_changed_by_the_form(browser, channel) -> None:
    fields = {**RULE, "channels": [channel.pk]}
    assert browser.post("/alerts/rules/new/", fields).status_code == 302
    rule = Rule.objects.get()
    assert (rule.labels, list(rule.channels.all())) == ({"team": "web", "core": ""}, [channel])
    browser.post(f"/alerts/rules/{rule.pk}/", {**fields, "name": "day"})
    rule.refresh_from_db()
    assert rule.name == "day"


def test_test_button_puts_a_message_into_the_outbox(browser, channel) -> None:
    assert browser.post(f"/alerts/channels/{channel.pk}/test/").status_code == 302
    text = browser.get("/alerts/").content.decode()
    assert f'data-testid="delivery-row-{Delivery.objects.get().pk}"' in text


def test_failed_message_can_be_tried_again(browser, channel) -> None:
    browser.post(f"/alerts/channels/{channel.pk}/test/")
    Delivery.objects.update(state="failed", error="It answered with status 404.")
    assert "Try again" in browser.get("/alerts/").content.decode()
    browser.post(f"/alerts/deliveries/{Delivery.objects.get().pk}/retry/")
    assert Delivery.objects.get().state == "pending"


def test_rule_and_channel_are_deleted(browser, rule, channel) -> None:
    browser.post(f"/alerts/rules/{rule.pk}/delete/")
    browser.post(f"/alerts/channels/{channel.pk}/delete/")
    assert not Rule.objects.exists()
    assert not Channel.objects.exists()


@pytest.mark.parametrize("path", ["channels/{c}/", "rules/{r}/"])
def test_stranger_finds_nothing(page_client, stranger, rule, channel, path) -> None:
    path = path.format(c=channel.pk, r=rule.pk)
    assert page_client(stranger).get(f"/alerts/{path}").status_code == 404


def test_viewer_sees_no_buttons_and_may_not_post(page_client, viewer_user, channel) -> None:
    client = page_client(viewer_user)
    assert "channel-test" not in client.get("/alerts/").content.decode()
    assert client.post(f"/alerts/channels/{channel.pk}/test/").status_code == 403
    assert client.get("/alerts/rules/new/").status_code == 403
